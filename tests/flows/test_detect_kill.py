"""Killed or interrupted anywhere, `landmarks detect` ends with exactly one row set per image."""

from __future__ import annotations

import pickle
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows.base.progress import Progress
from flows.detect import outcomes
from flows.detect import shard_task as detecting
from flows.detect.attempt import Attempt
from flows.detect.backlog import Backlog, take_up
from flows.detect.flow import detect_stage
from flows.detect.preparation import prepare
from landmark_ops.configs.detect import DetectConfig
from landmark_ops.errors import RunError
from landmark_ops.images import reasons
from landmark_ops.images.isolated import decode_safely
from landmark_ops.images.reasons import DecodeFailure
from landmark_ops.stores.tables import delta_tables
from tests.flows.detecting_data import (
    TinyModels,
    bare_page,  # noqa: F401  a fixture
    detect_config,
    file_name,
    left_behind,
    model_files,  # noqa: F401  a fixture
    once,
    picture,
    rows,
    run_detect,
    tiny_models,  # noqa: F401  a fixture
    watched_shards,
    write_tars,
)
from tests.flows.running import command, environment
from tests.hostile import save

pytestmark = pytest.mark.usefixtures("bare_page")

N, PER_SHARD = 48, 6
SHARDS = N // PER_SHARD


@pytest.fixture
def config(tmp_path: Path, tiny_models: TinyModels) -> dict[str, Any]:  # noqa: F811
    source = write_tars(tmp_path / "tars", N, PER_SHARD)
    return detect_config(source, tmp_path / "out", tiny_models.pipeline, cluster={"workers": 1})


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.detect.flow.SHARD_BYTES", 1)


def whole(config: dict[str, Any], n: int = N) -> None:
    """Complete, each image once, reported, and another run finds nothing to do."""
    output = config["output"]["uri"]
    once(output, n)
    assert (Path(output) / "report/index.html").exists()
    assert run_detect(config)["outcome"] == "nothing new"
    once(output, n)


# --- workers


@pytest.mark.slow
@pytest.mark.usefixtures("processes")
def test_killed_workers_are_replaced(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    """SIGKILL while shards are under way: the others of the run finish them, once."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(N):  # TIFF is decoded in a child process, whose start leaves time to kill
        (folder / file_name(index).replace(".png", ".tiff")).write_bytes(save(picture(index), "TIFF"))
    config = detect_config(str(folder), tmp_path / "out", tiny_models.pipeline)
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        attempts = tmp_path / "out/_landmark_ops/attempts"
        while not over.is_set():
            if any(attempts.glob("*")):
                for child in psutil.Process().children(recursive=True):
                    if "spawn_main" in " ".join(child.cmdline()):
                        child.kill()
                        killed.append(child.pid)
                return
            time.sleep(0.001)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        result = run_detect(config)
    finally:
        over.set()
        thread.join()
    assert len(killed) == 2
    assert (result["images"], result["failed"]) == (N, 0)
    whole(config)


# --- the flow

SLOW = """
import time
import flows.detect.flow, flows.detect.shard_task
flows.detect.flow.SHARD_BYTES, flows.detect.flow.COMMIT_SHARDS = 1, 2
plain = flows.detect.shard_task._detect
flows.detect.shard_task._detect = lambda *arguments: (plain(*arguments), time.sleep(0.25))[0]
"""


@contextmanager
def slow_command(tmp_path: Path, config: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """`landmarks detect`, a shard per quarter of a second, when three were staged and the commit of two has begun."""
    path, output = tmp_path / "config.yaml", Path(config["output"]["uri"])
    path.write_text(yaml.safe_dump(config))
    process = subprocess.Popen(
        command("detect", path, "--quiet", setup=SLOW),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        staged: set[str] = set()
        while len(staged) < 3 or not any(output.glob("shards/*/*.parquet")):
            staged |= {path.name for path in output.glob("_landmark_ops/claims/**/*.json")}
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_killed_run_is_finished_by_the_next(
    tmp_path: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with slow_command(tmp_path, config) as process:
        process.kill()
        process.wait()
    seen = watched_shards(monkeypatch)
    result = run_detect(config)
    assert 0 < len(seen) <= SHARDS - 3  # what was staged is not computed again
    assert (result["outcome"], result["images"], result["this_run"]) == ("done", N, len(seen) * PER_SHARD)
    whole(config)
    assert len({row["run_id"] for row in rows(config["output"]["uri"], "images")}) == 2


def interrupt_commits(patch: pytest.MonkeyPatch, at: int, after: bool) -> None:
    """Interrupt the commit of the table number `at`, before it or right after."""
    plain, calls = delta_tables.add_once, [0]

    def add(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == at and not after:
            raise KeyboardInterrupt
        done = plain(*arguments)
        if calls[0] == at:
            raise KeyboardInterrupt
        return done

    patch.setattr("landmark_ops.stores.tables.delta_tables.add_once", add)


@pytest.mark.parametrize(("at", "after"), [(1, False), (1, True), (2, True), (3, False), (3, True)])
def test_interrupted_between_the_tables(config: dict[str, Any], at: int, after: bool) -> None:
    """All shards are staged, some tables have them: the next run computes nothing, and still writes the page."""
    with pytest.MonkeyPatch.context() as patch:
        interrupt_commits(patch, at, after)
        with pytest.raises(KeyboardInterrupt):
            run_detect(config)
    assert left_behind(config["output"]["uri"])
    with pytest.MonkeyPatch.context() as patch:
        seen = watched_shards(patch)
        assert run_detect(config)["images"] == N
        assert seen == []
    whole(config)


def test_interrupted_before_the_page(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("flows.detect.report.write_detect_report", fail)
        with pytest.raises(KeyboardInterrupt):
            run_detect(config)
    assert not (Path(config["output"]["uri"]) / "report/index.html").exists()
    run_detect(config)
    whole(config)


def test_a_shard_that_cannot_be_read_ends_the_run_and_keeps_the_others(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = detecting._detect

    def fail(shard: Any, *rest: Any) -> Any:
        if shard.id == "00030.tar":
            raise RunError("the network is down: run again")
        return plain(shard, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(detecting, "_detect", fail)
        with pytest.raises(RunError, match="the network is down"):
            run_detect(config)
    seen = watched_shards(monkeypatch)
    run_detect(config)
    assert "00030.tar" in seen
    assert len(seen) < SHARDS
    whole(config)


def test_rows_of_others_are_noticed(config: dict[str, Any]) -> None:
    from deltalake import DeltaTable, write_deltalake

    run_detect(config)
    uri = f"{config['output']['uri']}/keypoints"
    write_deltalake(uri, DeltaTable(uri).to_pyarrow_table().slice(0, 1), mode="append")
    with pytest.raises(RunError, match=r"the tables disagree: .* 42 instances counted and 43 rows of keypoints"):
        run_detect(config)


# --- a picture that kills its decoder


@pytest.fixture
def first_attempt(config: dict[str, Any]) -> Attempt:
    backlog = taken_up(config)
    return Attempt(backlog.job, backlog.tasks[0].shard)


def taken_up(config: dict[str, Any]) -> Backlog:
    checked = DetectConfig.model_validate(config)
    return take_up(checked, prepare(checked))


def test_an_attempt_leaves_no_mark(first_attempt: Attempt, config: dict[str, Any]) -> None:
    with first_attempt as isolation:
        assert isolation == "risky"
        assert left_behind(config["output"]["uri"]) == [first_attempt.mark]
    assert left_behind(config["output"]["uri"]) == []


def test_an_exception_is_no_crash(first_attempt: Attempt, config: dict[str, Any]) -> None:
    with pytest.raises(RunError), first_attempt:
        raise RunError("the disk is full")
    assert left_behind(config["output"]["uri"]) == []
    with first_attempt as isolation:
        assert isolation == "risky"


def test_after_a_crash_every_picture_is_decoded_apart(first_attempt: Attempt, config: dict[str, Any]) -> None:
    first_attempt.__enter__()  # and the process is gone
    with first_attempt as isolation:
        assert isolation == "always"
    assert left_behind(config["output"]["uri"]) == []
    with first_attempt as isolation:
        assert isolation == "risky"


class OneByOne:
    """An engine that does every item here and keeps what it would send: items one by one, and what is common."""

    workers = 1
    sent: list[Any]
    common: tuple[Any, ...] = ()

    def imap(self, fn: Any, items: Any, *common: Any, done: Any = None) -> Any:
        self.sent, self.common = list(items), common
        for item in items:
            yield item, fn(item, *common)


def test_a_worker_is_sent_its_own_shard_alone(config: dict[str, Any]) -> None:
    backlog, engine = taken_up(config), OneByOne()
    totals = detect_stage.fn(backlog, engine, Progress(), 0)  # type: ignore[arg-type]
    assert totals.images == N
    names = [task.shard.id for task in backlog.tasks]
    assert [str(task) for task in engine.sent] == [f"shard {name}" for name in names]
    shipped = pickle.dumps(engine.common)
    assert not [name for name in names if name.encode() in shipped]


def test_marks_belong_to_a_shard_and_a_generation(config: dict[str, Any]) -> None:
    one = taken_up(config)
    config["detector"]["max_pixels"] = 12345
    other = taken_up(config)
    marks = {Attempt(backlog.job, task.shard).mark for backlog in (one, other) for task in backlog.tasks}
    assert len(marks) == 2 * SHARDS


def test_a_picture_that_kills_its_decoder_is_a_failure(
    first_attempt: Attempt, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark that a dead worker left: its shard is decoded in a child, and the culprit becomes a failure row."""
    culprit, told = picture_bytes(2), dict[str, int]()

    def decode(data: bytes, *, isolation: str, **rest: Any) -> Any:
        told[isolation] = told.get(isolation, 0) + 1
        if data == culprit:
            assert isolation == "always", "the worker would have died"
            raise DecodeFailure(reasons.DECODER_CRASHED, "ended by signal 11")
        return decode_safely(data, isolation="never", **rest)

    monkeypatch.setattr(outcomes, "decode_safely", decode)
    first_attempt.__enter__()
    result = run_detect(config)
    assert told == {"always": PER_SHARD, "risky": N - PER_SHARD}
    assert (result["images"], result["failed"]) == (N, 1)
    (failure,) = rows(config["output"]["uri"], "failures")
    assert (failure["image_id"], failure["reason"]) == (f"00000.tar/{file_name(2)}", "decoder_crashed")
    whole(config)


def picture_bytes(index: int) -> bytes:
    """A picture as it is stored in the tars."""
    return save(picture(index), "PNG")
