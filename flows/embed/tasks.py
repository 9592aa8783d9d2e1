"""The stages of the embed flow: one Prefect task each, a bounded Dask graph inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.base.stage import stage
from flows.embed.earlier import Earlier, grow
from flows.embed.inputs import Opened, fingerprint_of
from flows.embed.plan import Plan
from flows.embed.run import Part, Run
from landmark_ops.errors import BadRowsError, Edge, InputError, RunError, in_words_of
from landmark_ops.maps.causes import Cause
from landmark_ops.maps.evaluation import compute_dtype
from landmark_ops.maps.tally import Found, add_tallies
from landmark_ops.numerics.blocks import domain
from landmark_ops.numerics.distances import Array, Metric
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.passes.extension import Output, count_bad_block, extend_block, gather_block, reread_block
from landmark_ops.passes.ranges import ranges, task_rows
from landmark_ops.passes.undefined_rows import find_causes, refuse_outside, refuse_undefined
from landmark_ops.row_range import Done, RowRange
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.probe import probe_rows
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.selection.strategy import STRATEGIES
from landmark_ops.solver.alignment import align_solution
from landmark_ops.solver.asks import Source, Watch, solve_all
from landmark_ops.solver.geometry import named_block, selection_geometry, with_bandwidth
from landmark_ops.solver.method import Method, Solution
from landmark_ops.solver.stored_range import storable
from landmark_ops.stores.embeddings import unfinished
from landmark_ops.stores.embeddings.format import without_suffix
from landmark_ops.stores.embeddings.records import ChunkRecords
from landmark_ops.stores.locations import join, remove

TOLD = 4  # spacings of float32 that coordinates differ by before they are told apart
CONSTANT = 1e-6  # of a target's standard deviation
COLLAPSED = 1e-3  # of the spread of the landmarks: rows that they are part of cannot lie closer together


class Chosen(NamedTuple):
    """The landmarks of a run, and the kernel they were chosen by where the strategy uses one."""

    landmarks: Landmarks
    kernel: Kernel | None


@dataclass
class Work:
    """One method of a run once it is solved: what places rows, and which chunks are committed."""

    part: Part
    landmarks: Landmarks
    solution: Solution
    sha256: str
    records: ChunkRecords
    undefined: dict[RowRange, dict[Cause, Found]] = field(default_factory=dict)  # why rows have no coordinates

    @property
    def output(self) -> Output:
        """Where rows are written, for `extend_block`."""
        return Output(self.part.store, self.sha256, self.solution.blocks)


class Sample(NamedTuple):
    """Rows drawn uniformly for quality and coverage, with what they became."""

    indices: NDArray[np.int64]  # (S,) sorted
    rows: Array  # (S, d)
    embedding: NDArray[np.float32]  # (S, k)
    residual: NDArray[np.float32]  # (S,)


@stage("select")
def select_stage(run: Run, opened: Opened, plan: Plan) -> Chosen:
    """Choose the landmarks, in the geometry of the first method that has the kind the strategy asks for."""
    config = run.config.landmarks
    methods = [method.make() for method in run.config.all_methods]
    skip = run.config.source.bad_rows == "mark"
    asking = next((block for block in map(named_block, methods) if asks(block)), None)

    def probe() -> Array:
        return probe_rows(run.rows, config.seed, run.engine, skip_bad_rows=skip, rule=asking)

    with run.progress.stage("select", run.rows.n):
        if not skip:
            for method in methods:
                refuse_outside(run.rows, named_block(method), run.engine, ranges(run.rows.n, plan.step))
        try:
            by_kernel = STRATEGIES[config.strategy].by_kernel
            first = next((method for method in methods if by_kernel and method.choice is not None), methods[0])
            metric, kernel = selection_geometry(config.strategy, first, probe)
            ask = Request(
                run.rows,
                plan.n_landmarks,
                config.seed,
                run.engine,
                metric or asking,
                skip,
                *own_landmarks(opened.given),
                done=run.progress.rows_done,
                planned=run.progress.plan_rows,
                kernel=kernel,
                tolerance=config.tolerance,
            )
            earlier = opened.earlier
            landmarks = select(config.strategy, ask) if earlier is None else grow(earlier, config.strategy, ask)
        except InputError as error:
            if not skip:
                refuse_bad_rows(run, plan, error)  # says how many of all rows are bad, not only of those drawn
            raise
    return Chosen(landmarks, kernel)


def own_landmarks(given: NDArray[Any] | None) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """The user's own landmarks as indices (m,), or as points (m, d); neither where there are none."""
    return (given, None) if given is None or given.ndim == 1 else (None, given)


def asks(block: Metric | Kernel | None) -> bool:
    """Whether a metric or kernel asks more of rows than finite numbers: a direction, or values of its domain."""
    return block is not None and (block.name in ("cosine", "correlation") or domain(block) is not None)


@stage("solve")
def solve_stage(run: Run, parts: list[Part], chosen: Chosen, earlier: Earlier | None, plan: Plan) -> list[Solution]:
    """Solve all methods side by side: they share every pass over the rows, and blocks they have in common.

    Where landmarks were added to an earlier embedding, coordinates are turned onto its own.
    """
    strict = run.config.source.bad_rows == "error"
    source = Source(
        run.rows,
        run.engine,
        ranges(run.rows.n, plan.step),
        run.config.landmarks.seed,
        run.targets,
        None if strict else lambda count: None,
        watch_progress(run),
        scratch_address(parts[0]),
        chosen.landmarks.indices,
        not strict,
    )
    points, dtype = chosen.landmarks.points, compute_dtype(run.rows.dtype)
    methods = [solver(part, chosen) for part in parts]
    with run.progress.between("solve"):
        solutions = solve_all([method.solve(points, dtype) for method in methods], source)
        aligned = [one if earlier is None else align_solution(one, earlier.map) for one in solutions]
        return [in_keys(storable(one)) for one in aligned]


def in_keys(solution: Solution) -> Solution:
    """The solution with its warnings in the words of a config."""
    return solution._replace(warnings=tuple(in_words_of(warning, Edge.CONFIG) for warning in solution.warnings))


def watch_progress(run: Run) -> Watch:
    """Passes of a solve as stages of the run."""

    @contextmanager
    def watch(stage: str, total: int) -> Iterator[Done | None]:
        with run.progress.stage(stage, total):
            yield run.progress.rows_done

    return watch


def scratch_folder(uri: str) -> str:
    """Where large intermediate arrays of an output lie while it is made: out/x.zarr -> out/x.scratch."""
    return f"{without_suffix(uri)}.scratch"


def scratch_address(part: Part) -> str:
    """The part of it that runs of this config use: an unfinished one of another config goes on needing its own."""
    return join(scratch_folder(part.store.uri), part.config.result_hash()[:12])


def solver(part: Part, chosen: Chosen) -> Method:
    """The method of a part; the bandwidth its landmarks were chosen by is its own."""
    return with_bandwidth(part.config.method.make(part.config.landmarks.seed), chosen.kernel)


@stage("commit map")
def commit_map(run: Run, part: Part, chosen: Chosen, solution: Solution, plan: Plan) -> Work:
    """Store landmarks, spectrum and map, and allocate the arrays."""
    store, landmarks = part.store, chosen.landmarks
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
    head = solution.map.head
    k = solution.map.n_components
    store.allocate(
        run.rows.n, k, plan.step, None if head is None else head.arrays, None if head is None else head.undefined
    )
    store.update(
        rank=solution.rank,
        negative_mass=solution.negative_mass,
        cutoff=solution.cutoff,
        selection=landmarks.note,
        warnings=list(solution.warnings),
        facts=dict(solution.facts),
        collapsed=solution.map.collapsed,
        chunk_rows=plan.step,
        **({} if head is None else {"undefined_values": without_nan(head.undefined)}),
        blocks=None if solution.blocks is None else solution.blocks.uri,
        map_sha256=sha256,
    )
    return Work(part, landmarks, solution, sha256, ChunkRecords(store, run.rows.n, k, plan.step))


def without_nan(undefined: Mapping[str, float]) -> dict[str, float | str]:
    """What stands for rows without coordinates, as JSON holds it."""
    return {name: "NaN" if value != value else value for name, value in undefined.items()}


@stage("verify")
def verify_stage(run: Run, records: ChunkRecords) -> int:
    """On resume: compare every committed chunk with its hash; those that differ will be computed again."""
    committed = records.items(committed=True)
    lost = 0
    with run.progress.stage("verify", sum(item.size for item in committed)):
        for item, found in run.engine.imap(reread_block, committed, records.store, done=run.progress.rows_done):
            if found is not None and records.matches(item[0], found):
                records.set(item[0], found)  # a crash may have come between the columns of the table
            else:
                records.drop(item[0])
                lost += 1
    return lost


@stage("extend")
def extend_stage(run: Run, works: list[Work], sample: NDArray[np.int64]) -> list[Sample]:
    """Place and write every row not yet committed; hand back the sampled rows, of earlier chunks too.

    Rows are read once for all methods that still need them.
    """
    lacking: dict[RowRange, list[Work]] = {}
    for work in works:
        for item in work.records.items(committed=False):
            lacking.setdefault(item, []).append(work)
    groups: dict[tuple[int, ...], list[RowRange]] = {}
    for item, members in sorted(lacking.items()):
        groups.setdefault(tuple(works.index(work) for work in members), []).append(item)
    rows: dict[RowRange, Array] = {}
    with run.progress.stage("extend", sum(item.size for item in lacking)):
        try:
            for members_at, items in groups.items():
                extend_group(run, [works[at] for at in members_at], items, sample, rows)
        except BaseException:
            for work in works:
                with suppress(OSError, RunError):  # the output may be what failed: its reason is the one to tell
                    work.records.flush()
            raise
        for work in works:
            work.records.flush()
    return [gather_sample(run, work, sample, rows) for work in works]


def extend_group(
    run: Run, works: list[Work], items: list[RowRange], sample: Array, rows: dict[RowRange, Array]
) -> None:
    """Place the rows of `items` for the methods that all lack them; `rows` takes up the sampled ones."""
    strict = run.config.source.bad_rows == "error"
    outputs = tuple(work.output for work in works)
    done = run.progress.rows_done
    for item, part in run.engine.imap(extend_block, items, run.rows, outputs, sample, done=done):
        for work, written, undefined in zip(works, part.written, part.undefined, strict=True):
            if written.bad_rows and strict and not work.part.config.method.leaves_rows_out:
                everything = ranges(run.rows.n, work.records.chunk_rows)
                refuse_undefined(run.rows, work.solution.map, run.engine, everything, work.solution.blocks)
            work.records.add(item[0], written)
            work.undefined[item] = undefined
        rows[item] = part.rows


def why_undefined(run: Run, work: Work) -> dict[Cause, Found]:
    """Why rows of a method have no coordinates; chunks placed by an interrupted run are looked at again."""
    records = work.records
    held = [item for item in records.items(committed=True) if records.bad_rows[item[0] // records.chunk_rows]]
    unknown = [item for item in held if item not in work.undefined]
    again = find_causes(run.rows, work.solution.map, run.engine, unknown, work.solution.blocks)
    return add_tallies([again, *work.undefined.values()])


def gather_sample(run: Run, work: Work, sample: NDArray[np.int64], rows: dict[RowRange, Array]) -> Sample:
    """The sampled rows of one method: their coordinates read back, the rows themselves as far as not at hand."""
    items = work.records.items(committed=True)
    parts = dict(run.engine.imap(gather_block, items, work.part.store, sample))
    stored = [rows[item] if item in rows else run.rows.take(sample_within(sample, item)) for item in items]
    columns = zip(*(parts[item] for item in items), strict=True)
    return Sample(sample, np.concatenate(stored), *(np.concatenate(column) for column in columns))


def sample_within(sample: NDArray[np.int64], item: RowRange) -> NDArray[np.int64]:
    """The sampled rows of a range."""
    return sample[np.searchsorted(sample, item[0]) : np.searchsorted(sample, item[1])]


@stage("complete")
def complete_stage(run: Run, work: Work, quality: dict[str, Any], bad_rows: int, undefined: dict[str, Any]) -> None:
    """Check that the source is still the one that was read, then turn the status to complete: the last write."""
    if fingerprint_of(run.rows, run.targets) != run.fingerprint or run.source_was_written():
        work.part.store.update(map_sha256=None)  # of no worth: neither gone on with, nor in the way of running again
        raise RunError(
            f"{run.rows.uri}: changed while it was read, the embedding mixes old and new rows and stays incomplete: "
            "run again once the source is at rest"
        )
    fail_collapsed(run, work)
    stages = {stage.name: round(stage.seconds, 3) for stage in run.progress.stages}
    work.part.store.complete(quality=quality, bad_rows=bad_rows, undefined=undefined, seconds=stages)


def fail_collapsed(run: Run, work: Work) -> None:
    """RunError where rows lie together although the landmarks among them do not: the map does not place its own rows.

    Looks at the extents that every chunk recorded. Landmarks that are no rows (centres, given points, those of an
    earlier source) need not be near any, and what float32 does not tell apart in a component is no fault of the map.
    """
    rows = work.landmarks.indices >= 0
    placed = np.asarray(work.solution.embedding, np.float64)[rows]
    placed = placed[np.isfinite(placed).all(axis=1)]
    if len(placed) == 0 or run.rows.n <= int(work.records.bad_rows.sum()):
        return
    low, high = np.fmin.reduce(work.records.low, axis=0), np.fmax.reduce(work.records.high, axis=0)
    spread, expected = high.astype(np.float64) - low, np.ptp(placed, axis=0)
    told = expected > TOLD * np.spacing(np.fmax(np.abs(low), np.abs(high)).astype(np.float32))
    supervised = run.config.target is not None  # of a constant target predictions are constant, but for rounding
    lost = np.flatnonzero(told & (spread < COLLAPSED * expected) & (expected > (CONSTANT if supervised else 0)))
    if len(lost):
        raise RunError(
            f"{work.part.store.uri}: all rows lie within {spread[lost[0]]:.3g} of each other in component {lost[0]}, "
            f"where the landmarks, which are among them, spread over {expected[lost[0]]:.3g}: the embedding is wrong "
            "and stays incomplete; scale the rows by a power of ten, and report this"
        )
    if not supervised and not spread.any() and not told.any() and expected.any():
        raise RunError(
            f"{work.part.store.uri}: all rows come out at one point, {float(low[0]):.6g} in component 0: the "
            f"{expected[0]:.3g} between them are beyond the digits of float32, in which coordinates are stored, and "
            "the embedding stays incomplete: subtract the mean of the rows, or choose a larger gamma"
        )


def clear_scratch(parts: list[Part]) -> None:
    """Delete what runs of these outputs put down between their stages, once nothing needs it any more."""
    for part in parts:
        store = part.store
        remove(scratch_address(part) if store.successor.is_there() else scratch_folder(store.uri))


def give_up(parts: list[Part]) -> None:
    """After a refusal: what is committed stays to be gone on with, and nothing is in the way of the remedy."""
    for part in parts:
        if part.state != "complete" and not unfinished.give_up(part.store, keep=part.state == "resume"):
            remove(scratch_address(part))


def refuse_bad_rows(run: Run, plan: Plan | None, cause: InputError | None = None) -> None:
    """Count the rows with NaN or Inf over the whole source and raise BadRowsError; return if there are none.

    `cause`: what was said of the first rows met, in place of which this stands.
    """
    items: list[RowRange] = ranges(run.rows.n, plan.step if plan else task_rows(run.rows))
    count, first = 0, run.rows.n
    for _, (bad, index) in run.engine.imap(count_bad_block, items, run.rows):
        count += bad
        first = min(first, index) if bad else first
    if count:
        raise BadRowsError(count, first, run.rows.n, run.rows.named) from cause
