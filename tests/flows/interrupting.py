"""Runs that are interrupted, and what they must have left: helpers and fixtures of the tests of resuming."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from flows.base.progress import Progress
from landmark_ops.errors import RunError
from landmark_ops.row_range import RowRange
from landmark_ops.stores.embeddings.zarr.store import ZarrStore
from landmark_ops.stores.locations import exists
from tests.flows.running import (
    arrays,
    attributes,
    command,
    environment,
    landmark_indices,
    make_config,
    points,
    run_embed,
    write_npy,
)

X = points()
STEP = 42  # rows of a task of 1 KiB
CHUNKS = 10


@contextmanager
def watching(act: Callable[[str, int], None] = lambda stage, count: None) -> Iterator[dict[str, list[RowRange]]]:
    """The ranges done by each stage; `act(stage, count)` is called after every one and may end the run."""
    seen: dict[str, list[RowRange]] = {}
    running = [""]

    def opened(self: Progress, name: str) -> None:
        running[0] = name
        seen[name] = []

    def rows_done(self: Progress, item: RowRange) -> None:
        seen[running[0]].append(item)
        act(running[0], len(seen[running[0]]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "_open", opened)
        patch.setattr(Progress, "rows_done", rows_done)
        yield seen


def interrupt(config: dict[str, Any], stage: str = "extend", count: int = 4, error: Any = KeyboardInterrupt) -> None:
    """Run until `count` ranges of `stage` are done, then raise `error`."""

    def act(name: str, done: int) -> None:
        if (name, done) == (stage, count):
            raise error

    with pytest.raises(error), watching(act):
        run_embed(config)


def committed(uri: Path | str) -> int:
    """Chunks of the output, or of its successor, on record, as another process sees them: 0 while there is no table."""
    store = ZarrStore(str(uri))
    try:
        group: Any = (store.successor if exists(store.successor.address) else store).group
        return int(group["chunks/committed"][...].sum())
    except (OSError, KeyError, ValueError, RunError):
        return 0


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("reference")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.embed.report.write_report", lambda report, write: None)
        patch.setattr("landmark_ops.passes.ranges.TASK_BYTES", 1 << 10)
        run_embed(make_config(write_npy(folder / "x.npy", X), folder / "out.zarr"))
    return folder / "out.zarr"


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    return make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")


def equal(uri: Path | str, reference: Path) -> None:
    """Complete, and bit for bit the undisturbed output; quality too, though part of its sample was placed earlier."""
    known, expected = attributes(uri), attributes(reference)
    assert known["status"] == "complete"
    for ours, theirs in zip(arrays(uri), arrays(reference), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(landmark_indices(uri), landmark_indices(reference))
    assert known["quality"] == expected["quality"]
    assert known["map_sha256"] == expected["map_sha256"]
    assert committed(uri) == CHUNKS


# A shell that runs the suite in the background ignores Ctrl-C, and so would every child of it.
SLOW = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import flows.base.machine, landmark_ops.passes.ranges, landmark_ops.stores.embeddings.records
from flows.base.progress import Progress
flows.base.machine.IN_PROCESS_BYTES = {in_process}
landmark_ops.passes.ranges.TASK_BYTES = 1 << 10
landmark_ops.stores.embeddings.records.FLUSH_SECONDS = 0.1
plain = Progress.advance
Progress.advance = lambda self, count: (time.sleep({seconds}), plain(self, count))[1]
"""


@contextmanager
def slow_command(
    tmp_path: Path, config: dict[str, Any], in_process: int, seconds: float, **changes: str
) -> Iterator[subprocess.Popen[str]]:
    """`landmarks embed --quiet`, slowed down, once some chunks are on record; killed at the end if it still runs."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    setup = SLOW.format(in_process=in_process, seconds=seconds)
    process = subprocess.Popen(
        command("embed", path, "--quiet", setup=setup),
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while committed(config["output"]["uri"]) < 2:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
