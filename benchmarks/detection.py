"""Images per second of the detect workers beside a bare loop of decode and onnxruntime, and memory with 4 × the images.

Both work on 720p JPEGs in tar shards, in two processes of one thread each, in turn. The flow's side is its detect
stage as a plain function: workers decode, detect, keep overlays for the report and stage rows, this process commits.
The bare loop has processes of its own, so that nothing Dask sets for its workers slows it, and runs YuNet on one image
at a time, which is fastest on a CPU, and once more in the flow's batches. It runs as anyone would write it, and with
the workers' allocator setting, which spares it much: what is then left between the two is the flow's own work.
Wall seconds are what a user waits; CPU seconds of the same processes tell as much on a machine that others use too.
"""

from __future__ import annotations

import multiprocessing
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.bare_faces import cpu_of_tar
from benchmarks.peers import PEERS, Rates, peer_rates
from benchmarks.pictures import write_shards
from benchmarks.result import Budget, Line, Result, Skipped, number
from benchmarks.timing import say
from benchmarks.workers import WORKERS, peak_rss, two_workers
from flows.base.progress import Progress
from flows.detect.backlog import take_up
from flows.detect.flow import detect_stage
from flows.detect.preparation import prepare
from landmark_ops.configs.detect import DetectConfig, DetectorConfig, ShardsConfig, TablesConfig
from landmark_ops.configs.embed import ClusterConfig
from landmark_ops.detectors.model_file import is_local, resolve
from landmark_ops.detectors.models import get_spec
from landmark_ops.detectors.pipelines import get_pipeline, list_pipelines
from landmark_ops.engine.allocator import keep_freed_memory
from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.errors import InputError, RunError

PIPELINE = "face-68"
BATCH = 16  # the flow's default
FACTOR = 4
BATCHED = f"bare loop in batches of {BATCH}"
BARE = ("bare loop", "bare loop with the workers' allocator setting", BATCHED)
SPEED = Budget(low=0.95)
MEMORY = Budget(0.95, 1.05)
MEMORY_IMAGES = 60  # per shard: memory settles within some shards, however many images they hold


class Sizes(NamedTuple):
    """How much is measured: shards and pictures in each, rounds, pictures per shard for the list of pipelines."""

    shards: int = 4
    per_shard: int = 250
    rounds: int = 5
    few: int = 24
    memory: int = 8


QUICK = Sizes(2, 4, 1, 2, 2)


class Detected(NamedTuple):
    """The result of one pass of the flow's detect stage, its wall seconds and the CPU seconds of its workers."""

    images: int
    instances: int
    seconds: float
    cpu_seconds: float


class Samples(NamedTuple):
    """Wall and CPU seconds of the flow's workers and of the bare loops, by name, one number per round."""

    wall: dict[str, list[float]]
    cpu: dict[str, list[float]]

    def ratio(self, name: str) -> tuple[float, float]:
        """The flow's speed in shares of a bare loop's: medians over rounds of the ratio of wall, and of CPU seconds."""
        wall, cpu = (
            median(bare / flow for bare, flow in zip(seconds[name], seconds["flow"], strict=True)) for seconds in self
        )
        return wall, cpu


def measure(quick: bool, folder: Path) -> Result:
    """The budgets of YuNet → 68 points, and images per second of every pipeline. Skipped without the models."""
    sizes = QUICK if quick else Sizes()
    models = models_of(PIPELINE, fetch=not quick)
    source = folder / "pictures"
    say(f"detection: writing {sizes.shards * sizes.per_shard:,} pictures of 720p, and shards to see memory by")
    write_shards(source, sizes.shards, sizes.per_shard)
    few = min(sizes.per_shard, MEMORY_IMAGES)
    for name, count in (("less", sizes.memory), ("more", sizes.memory * FACTOR)):
        write_shards(folder / name, count, few)
    n = sizes.shards * sizes.per_shard
    samples, found = speed_samples(source, folder, models, sizes.rounds)
    say("detection: memory")
    peaks = [peak_memory(place, folder) for place in (folder / "less", folder / "more")]
    pipelines, left_out = pipeline_rates(folder, sizes, quick)
    peers = Rates({}, {}) if quick else peer_rates(sorted((folder / "few").glob("*.tar")))
    lines = [
        *speed_lines(samples, n),
        Line(
            f"{PIPELINE}, {sizes.memory * few:,} images of 720p: peak memory of a worker, {FACTOR} × the images, ratio",
            max(peaks[1]) / max(peaks[0]),
            budget=MEMORY,
            note=f"{number(max(peaks[1]) / 2**20)} / {number(max(peaks[0]) / 2**20)} MiB",
        ),
        *(rate_line(f"pipeline {name}", rate) for name, rate in pipelines.items()),
        *(rate_line(f"peer {name}, beside {PEERS[name]}", rate) for name, rate in peers.measured.items()),
    ]
    raw = {
        "images": n,
        "instances": found.instances,
        "seconds": samples.wall,
        "cpu_seconds": samples.cpu,
        "peak_bytes": peaks,
        "pipelines": pipelines,
        "peers": peers.measured,
        "left_out": left_out | peers.left_out,
    }
    return Result("detection", f"Detection in tar shards, {WORKERS} workers", lines, raw)


def speed_lines(samples: Samples, n: int) -> list[Line]:
    """The flow beside each bare loop: both kinds of seconds, with the budget but for the loop in batches."""
    lines = []
    flow_rate = n / median(samples.wall["flow"])
    for name in BARE:
        what = f"{PIPELINE}, {n:,} images of 720p: detect workers / {name}"
        wall, cpu = samples.ratio(name)
        budget = None if name == BATCHED else SPEED
        note = f"{number(flow_rate)} / {number(n / median(samples.wall[name]))} images/s"
        lines.append(Line(what, wall, budget=budget, note=note))
        ms = (median(samples.cpu[which]) / n * 1e3 for which in (name, "flow"))
        lines.append(Line("… by CPU time", cpu, budget=budget, note=" / ".join(map(number, ms)) + " ms per image"))
    return lines


def rate_line(what: str, rate: dict[str, Any]) -> Line:
    """One pipeline's or peer's images per second."""
    cpu = number(rate["cpu_seconds"] / rate["images"] * 1e3)
    note = f"{cpu} ms of CPU per image, {rate['instances']} instances"
    return Line(what, rate["images_per_second"], "images/s", note=note)


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


def speed_samples(source: Path, folder: Path, models: list[Path], rounds: int) -> tuple[Samples, Detected]:
    """Seconds of the flow's workers and of the bare loops, in turn; and what the flow found."""
    tars = sorted(str(path) for path in source.glob("*.tar"))
    paths = (str(models[0]), str(models[1]))
    names = ("flow", *BARE)
    samples = Samples({name: [] for name in names}, {name: [] for name in names})
    spawn = multiprocessing.get_context("spawn")
    with (
        two_workers() as engine,
        ProcessPoolExecutor(WORKERS, spawn) as plain,
        ProcessPoolExecutor(WORKERS, spawn, keep_freed_memory) as keeping,
    ):

        def bare(pool: ProcessPoolExecutor, batch: int) -> tuple[float, float]:
            began, count = time.perf_counter(), len(tars)
            cpu = sum(pool.map(cpu_of_tar, tars, [paths] * count, [batch] * count))
            return time.perf_counter() - began, cpu

        for turn in range(rounds + 1):
            say(f"detection: {PIPELINE}, round {turn} of {rounds}")
            found = detect(source, folder / "speed", PIPELINE, engine)
            times = (found[2:], bare(plain, 1), bare(keeping, 1), bare(keeping, BATCH))
            if turn:  # in the first round the processes import what they need and load the models
                for name, (wall, cpu) in zip(samples.wall, times, strict=True):
                    samples.wall[name].append(wall)
                    samples.cpu[name].append(cpu)
    if found.instances == 0:
        raise AssertionError("no face was found: what was measured is no detection")
    return samples, found


def detect(source: Path, output: Path, pipeline: str, engine: ClusterEngine) -> Detected:
    """Detect in all shards into new tables, which are deleted after: the flow's own stage, without a Prefect run."""
    config = DetectConfig(
        source=ShardsConfig(uri=str(source)),
        detector=DetectorConfig(pipeline=pipeline, batch=BATCH),
        output=TablesConfig(uri=str(output)),
        cluster=ClusterConfig(workers=WORKERS),
    )
    backlog = take_up(config, prepare(config))
    before = cpu_seconds(engine)
    totals = detect_stage.fn(backlog, engine, Progress(), config.report.sample)
    cpu = cpu_seconds(engine) - before
    shutil.rmtree(output)
    if totals.reasons or totals.images == 0:
        raise AssertionError(f"no images, or some failed: what was measured is no detection: {totals.reasons}")
    return Detected(totals.images, totals.instances, totals.seconds, cpu)


def cpu_seconds(engine: ClusterEngine) -> float:
    """CPU seconds of all worker processes so far."""
    return float(sum(engine.client.run(time.process_time).values()))


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
