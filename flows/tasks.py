"""The stages of the embed flow, one Prefect task each. Arguments and results are landmark-sized; rows never travel."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.methods import make_method
from flows.plan import Plan
from flows.run import Run, current_run
from landmark_ops.blocks.engine import Item
from landmark_ops.blocks.extension import count_bad_block, extend_block, gather_block, reread_block
from landmark_ops.blocks.moments import sum_moments
from landmark_ops.blocks.ranges import ranges, task_rows
from landmark_ops.config import MethodConfig
from landmark_ops.errors import BadRowsError, InputError, RunError
from landmark_ops.methods.method import Solution
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.landmark_map import LandmarkMap, compute_dtype
from landmark_ops.numerics.moments import Moments
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.select import select
from landmark_ops.stores.embedding import Written
from landmark_ops.stores.records import ChunkRecords

STAGE: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False, "log_prints": False}


class Sample(NamedTuple):
    """Rows drawn uniformly for quality and coverage, with what they became."""

    indices: NDArray[np.int64]  # (S,) sorted
    rows: Array  # (S, d)
    embedding: NDArray[np.float32]  # (S, k)
    residual: NDArray[np.float32]  # (S,)


@task(name="select", **STAGE)
def select_stage(given: Array | None, plan: Plan) -> Landmarks:
    """Choose the landmarks."""
    run = current_run()
    config = run.config.landmarks
    metric = None
    if config.strategy in ("maxmin", "kmeans") or needs_direction(run.config.method):
        metric = make_method(run.config.method).selection_metric()
    user: dict[str, Any] = {}
    if given is not None:
        user = {"indices" if given.ndim == 1 else "points": given}
    with run.progress.stage("select", run.rows.n):
        try:
            return select(
                run.rows,
                plan.n_landmarks,
                config.strategy,
                seed=config.seed,
                engine=run.engine,
                metric=metric,
                skip_bad_rows=run.config.source.bad_rows == "mark",
                done=run.progress.advance,
                planned=run.progress.plan_rows,
                **user,
            )
        except InputError:
            if run.config.source.bad_rows == "error":
                refuse_bad_rows(run, plan)  # says how many of all rows are bad, not only of those drawn
            raise


def needs_direction(config: MethodConfig) -> bool:
    """Whether zero rows cannot be landmarks, being undefined under the metric or kernel."""
    name = config.metric if config.name == "landmark_mds" else config.kernel
    return name in ("cosine", "correlation")


@task(name="start", **STAGE)
def start_stage(landmarks: Landmarks) -> Solution:
    """The first half of the solve, from the landmarks alone."""
    run = current_run()
    with run.progress.stage("solve"):
        return make_method(run.config.method).start(landmarks.points, compute_dtype(run.rows.dtype))


@task(name="moments", **STAGE)
def moments_stage(features: LandmarkMap, plan: Plan) -> Moments:
    """Sums over all rows, where the method needs them."""
    run = current_run()
    with run.progress.stage("moments", run.rows.n):
        items = ranges(run.rows.n, plan.step)
        moments = sum_moments(run.rows, features, run.engine, items, run.progress.advance)
    if moments.rows < run.rows.n and run.config.source.bad_rows == "error":
        refuse_bad_rows(run, plan)
    return moments


@task(name="finish", **STAGE)
def finish_stage(solution: Solution, moments: Moments) -> Solution:
    """The second half of the solve."""
    run = current_run()
    with run.progress.stage("finish"):
        return make_method(run.config.method).finish(solution, moments)


@task(name="commit map", **STAGE)
def commit_map(landmarks: Landmarks, solution: Solution, plan: Plan) -> str:
    """Store landmarks, spectrum and map, and allocate the arrays; returns the map's hash."""
    run = current_run()
    store = run.store
    sha256 = store.put_map(*solution.map.to_state())
    store.put(
        "landmarks",
        {
            "indices": landmarks.indices,
            "points": landmarks.points,
            "embedding": solution.embedding,
            "eigenvalues": solution.eigenvalues,
            "spectrum": solution.spectrum,
            "weights": landmarks.weights,
        },
        {
            "indices": ("landmark",),
            "points": ("landmark", "feature"),
            "embedding": ("landmark", "component"),
            "eigenvalues": ("component",),
            "spectrum": ("eigenvalue",),
            "weights": ("landmark",),
        },
    )
    store.allocate(run.rows.n, solution.map.n_components, plan.step)
    store.update(
        rank=solution.rank,
        negative_mass=solution.negative_mass,
        cutoff=solution.cutoff,
        selection=landmarks.note,
        warnings=list(solution.warnings),
        collapsed=solution.map.collapsed,
        chunk_rows=plan.step,
        map_sha256=sha256,
    )
    return sha256


@task(name="verify", **STAGE)
def verify_stage(records: ChunkRecords) -> int:
    """On resume: compare every committed chunk with its hash; those that differ will be computed again."""
    run = current_run()
    committed = records.items(committed=True)
    lost = 0
    with run.progress.stage("verify", sum(stop - start for start, stop in committed)):
        for item, found in run.engine.imap(reread_block, committed, run.store.uri, done=run.progress.advance):
            if found is not None and records.matches(item[0], found):
                records.set(item[0], found)  # a crash may have come between the columns of the table
            else:
                records.drop(item[0])
                lost += 1
    return lost


@task(name="extend", **STAGE)
def extend_stage(sha256: str, records: ChunkRecords, sample: NDArray[np.int64]) -> Sample:
    """Place and write every row not yet committed; hand back the sampled rows, of earlier chunks too."""
    run = current_run()
    earlier, missing = records.items(committed=True), records.items(committed=False)
    strict = run.config.source.bad_rows == "error"
    uri = run.store.uri
    parts: dict[int, tuple[Any, ...]] = {}
    with run.progress.stage("extend", sum(stop - start for start, stop in missing)):
        try:
            done = run.progress.advance
            for item, part in run.engine.imap(extend_block, missing, run.rows, uri, sha256, sample, done=done):
                if part.written.bad_rows and strict:
                    refuse_bad_rows(run, None)
                    refuse_undefined_rows(run, part.written)
                records.add(item[0], part.written)
                parts[item[0]] = part[1:]
            for item, gathered in run.engine.imap(gather_block, earlier, run.rows, uri, sample):
                parts[item[0]] = gathered
        except BaseException:
            with suppress(OSError, RunError):  # the output may be what failed: its reason is the one to tell
                records.flush()
            raise
        records.flush()
    columns = zip(*(parts[start] for start in sorted(parts)), strict=True)
    return Sample(sample, *(np.concatenate(column) for column in columns))


@task(name="complete", **STAGE)
def complete_stage(quality: dict[str, Any], bad_rows: int) -> None:
    """Check that the source is still the one that was read, then turn the status to complete: the last write."""
    run = current_run()
    if run.rows.fingerprint() != run.fingerprint:
        raise RunError(
            f"{run.rows.uri}: changed while it was read, the embedding mixes old and new rows and stays incomplete: "
            "run again once the source is at rest"
        )
    stages = {stage.name: round(stage.seconds, 3) for stage in run.progress.stages}
    run.store.update(quality=quality, bad_rows=bad_rows, seconds=stages, status="complete")


def refuse_bad_rows(run: Run, plan: Plan | None) -> None:
    """Count the rows with NaN or Inf over the whole source and raise BadRowsError; return if there are none."""
    items: list[Item] = ranges(run.rows.n, plan.step if plan else task_rows(run.rows))
    count, first = 0, run.rows.n
    for _, (bad, index) in run.engine.imap(count_bad_block, items, run.rows):
        count += bad
        first = min(first, index) if bad else first
    if count:
        raise BadRowsError(count, first, run.rows.n, run.rows.uri)


def refuse_undefined_rows(run: Run, written: Written) -> None:
    """Raise for rows that are finite and yet have no coordinates."""
    raise InputError(
        f"{run.rows.uri}: the metric or kernel is undefined on {written.bad_rows} or more rows, the first seen is row "
        f"{written.first_bad} (zero rows have no direction under cosine and correlation): choose another metric, "
        "or set source.bad_rows: mark to give such rows NaN coordinates"
    )
