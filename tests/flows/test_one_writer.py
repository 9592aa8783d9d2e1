"""Two runs at one output: one writes, the other is refused or finds the work done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.errors import InputError, RunError
from landmark_ops.stores.locations import exists
from landmark_ops.stores.lock import OutputLock
from tests.flows.interrupting import (
    config,  # noqa: F401  a fixture
    equal,
    reference,  # noqa: F401  a fixture
)
from tests.flows.running import attributes, run_embed

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")


def test_a_second_run_is_refused(config: dict[str, Any], reference: Path) -> None:  # noqa: F811
    uri = config["output"]["uri"]
    with (
        OutputLock(uri),
        pytest.raises(InputError, match=rf"output .*out\.zarr: process {os.getpid()} on .* is writing it now: wait"),
    ):
        run_embed(config)
    assert not Path(uri).exists()
    run_embed(config)
    assert not Path(f"{uri}.lock").exists()
    equal(uri, reference)


def test_a_lock_left_by_a_dead_process_does_not_hold(config: dict[str, Any], reference: Path) -> None:  # noqa: F811
    Path(f"{config['output']['uri']}.lock").write_text('{"id": "x", "host": "elsewhere", "pid": 1}')
    run_embed(config)
    equal(config["output"]["uri"], reference)


def test_a_run_that_finished_between_look_and_lock(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A second run looked while the output was partial or absent, and got the lock once the first was done."""
    from flows.embed.inputs import OpenedRun, open_run

    early: list[OpenedRun] = []

    def stale(given: Any) -> OpenedRun:
        early.append(open_run(given))
        monkeypatch.setattr("flows.embed.flow.open_run", open_run)
        run_embed(config)
        return early[0]

    monkeypatch.setattr("flows.embed.flow.open_run", stale)
    with pytest.raises(InputError, match="another run has just worked on it: run again to go on from there"):
        run_embed(config)
    assert attributes(config["output"]["uri"])["status"] == "complete"


def test_a_source_that_changed_before_the_lock_was_had(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """The flow takes the source that was opened for the check, and checks again that it has not changed."""
    from flows.embed.inputs import OpenedRun, open_run

    def early(given: Any) -> OpenedRun:
        opened = open_run(given)
        path = Path(config["source"]["uri"])
        np.save(path, np.load(path)[::-1])
        os.utime(path, (0, 0))
        return opened

    monkeypatch.setattr("flows.embed.flow.open_run", early)
    with pytest.raises(RunError, match=r"x\.npy: changed while the run was starting: run again once"):
        run_embed(config)
    assert not exists(config["output"]["uri"])


def test_inputs_are_opened_once(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """By the command, which hands them to the flow; a flow called by itself opens them itself."""
    import flows.embed.inputs as inputs
    from flows.embed.launch import launch_embed

    counted: list[str] = []
    plain = inputs.open_source

    def count(given: Any) -> Any:
        counted.append(given.source.uri)
        return plain(given)

    monkeypatch.setattr(inputs, "open_source", count)
    assert launch_embed(EmbedConfig.model_validate(config), "quiet")["outcome"] == "done"
    assert counted == [config["source"]["uri"]]
    assert run_embed(config)["outcome"] == "already complete"
    assert len(counted) == 2
