"""A run that was stopped past its lease while another completed: woken, it writes nothing that counts, and says why."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr

from landmark_ops.stores import lease
from landmark_ops.stores.embeddings.zarr.store import ZarrStore
from landmark_ops.stores.locations import exists
from landmark_ops.stores.zarr_store import open_store
from tests.flows.interrupting import SLOW, committed
from tests.flows.running import arrays, command, environment, make_config, points, run_embed, write_npy

pytestmark = [pytest.mark.usefixtures("bare_report", "many_tasks"), pytest.mark.slow]

X = points()
SHORT = """
from landmark_ops.stores import fence, lease
lease.LEASE_SECONDS, lease.REFRESH_SECONDS, fence.CHECK_SECONDS = 1.0, 0.2, 0.2
"""


def start(tmp_path: Path, config: dict[str, Any]) -> subprocess.Popen[str]:
    """`landmarks embed --quiet` once some of its chunks are on record."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    process = subprocess.Popen(
        command("embed", path, "--quiet", setup=SLOW.format(in_process=1 << 20, seconds=0.3) + SHORT),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while committed(config["output"]["uri"]) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def woken(process: subprocess.Popen[str], uri: str) -> None:
    """It ends with one line, and the output is the other run's."""
    before = [array.copy() for array in of(uri)]
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.count("\n") == 1
    assert "out.zarr: this run has lost its lock, " in err
    for ours, theirs in zip(of(uri), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def of(uri: str) -> list[Any]:
    group: Any = zarr.open_group(open_store(uri), mode="r")
    assert group.attrs["landmark_ops"]["status"] == "complete"
    assert group["chunks/committed"][...].all()
    return [group[name][...] for name in ("embedding", "residual", "chunks/sha256", "map/readout")]


@pytest.mark.s3
def test_on_s3(tmp_path: Path, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one is of another config, so every chunk of the late one would be wrong."""
    uri = f"{s3_bucket}/out.zarr"
    config = make_config(write_npy(tmp_path / "x.npy", X), uri, output={"overwrite": True})
    process = start(tmp_path, config)
    try:
        process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(lease, "LEASE_SECONDS", 1.0)
        time.sleep(3.5)
        config["landmarks"]["seed"] = 1
        assert run_embed(config)["outcome"] == "done"
        woken(process, uri)
        expected = make_config(config["source"]["uri"], tmp_path / "alone.zarr", landmarks={"seed": 1})
        run_embed(expected)
        for ours, theirs in zip(of(uri)[:2], arrays(tmp_path / "alone.zarr"), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    finally:
        process.kill()
        process.communicate()


def test_on_local_disk(tmp_path: Path) -> None:
    """Where the lock file was taken away from under a run, as by a person who gave it up; the other one goes on."""
    uri = str(tmp_path / "out.zarr")
    config = make_config(write_npy(tmp_path / "x.npy", X), uri, output={"overwrite": True})
    process = start(tmp_path, config)
    try:
        process.send_signal(signal.SIGSTOP)
        os.unlink(f"{uri}.lock")
        assert run_embed(config)["outcome"] == "resumed"
        woken(process, uri)
        assert not exists(ZarrStore(uri).successor.address)
    finally:
        process.kill()
        process.communicate()
