"""Images per second of the detect workers beside a bare loop of decode and onnxruntime, and memory with 4 × the images.

Both work on 720p JPEGs in tar shards, in two processes of one thread each, in turn. The flow's side is its detect
stage as a plain function: workers decode, detect, keep overlays for the report and stage rows, this process commits.
The bare loop has processes of its own, so that nothing Dask sets for its workers slows it, and runs YuNet on one image
at a time, which is fastest on a CPU, and once more in the flow's batches.
"""

from __future__ import annotations

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.bare_faces import faces_of_tar
from benchmarks.pictures import write_shards
from benchmarks.result import Budget, Line, Result, Skipped, number
from benchmarks.timing import say, seconds_of
from benchmarks.workers import WORKERS, peak_rss, two_workers
from flows import detect as flow
from flows.progress import Progress
from landmark_ops.blocks.cluster import ClusterEngine
from landmark_ops.config import ClusterConfig
from landmark_ops.detect_config import DetectConfig, DetectorConfig, ShardsConfig, TablesConfig
from landmark_ops.detectors.pipeline_spec import get_pipeline, list_pipelines
from landmark_ops.detectors.pull import is_local, resolve
from landmark_ops.detectors.registry import get_spec
from landmark_ops.errors import InputError, RunError

PIPELINE = "face-68"
BATCH = 16  # the flow's default
FACTOR = 4
SPEED = Budget(low=0.95)
MEMORY = Budget(0.95, 1.05)


class Sizes(NamedTuple):
    """How much is measured: shards and pictures in each, rounds, pictures per shard for the list of pipelines."""

    shards: int = 8
    per_shard: int = 100
    rounds: int = 5
    few: int = 24


QUICK = Sizes(2, 4, 1, 2)


class Detected(NamedTuple):
    """What one pass of the flow's detect stage came to, and its wall seconds."""

    images: int
    instances: int
    seconds: float


def measure(quick: bool, folder: Path) -> Result:
    """The budgets of YuNet → 68 points, and images per second of every pipeline. Skipped without the models."""
    sizes = QUICK if quick else Sizes()
    models = models_of(PIPELINE, fetch=not quick)
    source = folder / "pictures"
    say(f"detection: writing {sizes.shards * sizes.per_shard:,} pictures of 720p, and {FACTOR} × as many")
    write_shards(source, sizes.shards, sizes.per_shard)
    write_shards(folder / "more", sizes.shards * FACTOR, sizes.per_shard)
    n = sizes.shards * sizes.per_shard
    samples, found = speed_samples(source, folder, models, sizes.rounds)
    rates = {name: n / median(seconds) for name, seconds in samples.items()}
    say("detection: memory")
    peaks = [peak_memory(place, folder) for place in (source, folder / "more")]
    pipelines, left_out = pipeline_rates(folder, sizes, quick)
    what = f"{PIPELINE}, {n:,} images of 720p"
    lines = [
        Line(
            f"{what}: detect workers / bare loop",
            rates["flow"] / rates["bare"],
            budget=SPEED,
            note=f"{number(rates['flow'])} / {number(rates['bare'])} images/s, medians of {sizes.rounds}",
        ),
        Line(
            f"{what}: detect workers / bare loop in batches of {BATCH}",
            rates["flow"] / rates["bare, batched"],
            note=f"{number(rates['bare, batched'])} images/s",
        ),
        Line(
            f"{what}: peak memory of a worker, {FACTOR} × the images, ratio",
            max(peaks[1]) / max(peaks[0]),
            budget=MEMORY,
            note=f"{number(max(peaks[1]) / 2**20)} / {number(max(peaks[0]) / 2**20)} MiB",
        ),
        *(
            Line(f"pipeline {name}", rate["images_per_second"], "images/s", note=f"{rate['instances']} instances")
            for name, rate in pipelines.items()
        ),
    ]
    raw = {
        "images": n,
        "instances": found.instances,
        "seconds": samples,
        "peak_bytes": peaks,
        "pipelines": pipelines,
        "left_out": left_out,
    }
    return Result("detection", f"Detection in tar shards, {WORKERS} workers", lines, raw)


def models_of(pipeline: str, *, fetch: bool) -> list[Path]:
    """The model files of a pipeline; Skipped where they are not here, or with `fetch` cannot be had."""
    specs = [get_spec(name) for name in get_pipeline(pipeline).models]
    try:
        missing = [spec.name for spec in specs if not is_local(spec)]
        if missing and not fetch:
            raise Skipped(f"model {missing[0]} is not on this machine: landmarks models pull {missing[0]}")
        return [resolve(spec) for spec in specs]
    except (InputError, RunError) as error:
        raise Skipped(str(error)) from error


def speed_samples(
    source: Path, folder: Path, models: list[Path], rounds: int
) -> tuple[dict[str, list[float]], Detected]:
    """Seconds of the flow's workers and of both bare loops, in turn; and what the flow found."""
    tars = sorted(str(path) for path in source.glob("*.tar"))
    paths = (str(models[0]), str(models[1]))
    seconds: dict[str, list[float]] = {"flow": [], "bare": [], "bare, batched": []}
    with two_workers() as engine, ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:

        def bare(batch: int) -> float:
            count = len(tars)
            return seconds_of(lambda: list(pool.map(faces_of_tar, tars, [paths] * count, [batch] * count)))

        for turn in range(rounds + 1):
            say(f"detection: {PIPELINE}, round {turn} of {rounds}")
            found = detect(source, folder / "speed", PIPELINE, engine)
            times = (found.seconds, bare(1), bare(BATCH))
            if turn:  # in the first round the processes import what they need and load the models
                for name, value in zip(seconds, times, strict=True):
                    seconds[name].append(value)
    return seconds, found


def detect(source: Path, output: Path, pipeline: str, engine: ClusterEngine) -> Detected:
    """Detect in all shards into new tables, which are deleted after: the flow's own stage, without a Prefect run."""
    config = DetectConfig(
        source=ShardsConfig(uri=str(source)),
        detector=DetectorConfig(pipeline=pipeline, batch=BATCH),
        output=TablesConfig(uri=str(output)),
        cluster=ClusterConfig(workers=WORKERS),
    )
    work = flow.open_work(config, recover=True)
    flow._current.set(flow.Run(work, engine, Progress()))
    totals = flow.detect_stage.fn(config.report.sample)
    shutil.rmtree(output)
    if totals.reasons or totals.instances == 0:
        raise AssertionError(f"nothing found or images failed: what was measured is no detection: {totals.reasons}")
    return Detected(totals.images, totals.instances, totals.seconds)


def peak_memory(source: Path, folder: Path) -> list[int]:
    """Bytes of the largest resident set of each worker of a fresh cluster that detects in all shards once."""
    with two_workers() as engine:
        detect(source, folder / "memory", PIPELINE, engine)
        return peak_rss(engine)


def pipeline_rates(folder: Path, sizes: Sizes, quick: bool) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Images per second of every pipeline on a few pictures, and why a pipeline was left out. Quick: two of them."""
    write_shards(folder / "few", WORKERS, sizes.few)
    rates: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    names = [pipeline.name for pipeline in list_pipelines()]
    with two_workers() as engine:
        for name in [PIPELINE, "face-5"] if quick else names:
            try:
                models_of(name, fetch=not quick)
            except Skipped as reason:
                left_out[name] = str(reason)
                say(f"detection: {name} left out: {reason}")
                continue
            say(f"detection: {name}")
            detect(folder / "few", folder / "pipelines", name, engine)  # workers load the models
            found = detect(folder / "few", folder / "pipelines", name, engine)
            rates[name] = {"images_per_second": found.images / found.seconds, **found._asdict()}
    return rates, left_out
