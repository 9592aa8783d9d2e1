"""`overwrite: true`: yesterday's embedding stays whole and in sight until today's is complete, whatever happens."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from landmark_ops.errors import BadRowsError, InputError, RunError
from landmark_ops.stores.embeddings.zarr.store import ZarrStore
from landmark_ops.stores.locations import list_objects
from tests.flows.interrupting import CHUNKS, committed, equal, interrupt, reference, slow_command, watching
from tests.flows.running import arrays, attributes, make_config, points, run_embed, write_npy

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")

__all__ = ["reference"]  # a fixture
X = points()


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """Of tonight's run: yesterday's output is there, of other rows."""
    source = tmp_path / "x.npy"
    write_npy(source, points(seed=9))
    config = make_config(str(source), tmp_path / "out.zarr")
    run_embed(config)
    write_npy(source, X)
    config["output"]["overwrite"] = True
    return config


def listing(uri: str) -> dict[str, str]:
    return {found.key: found.version for found in list_objects(uri)}


@pytest.mark.parametrize("row", [0, 399])
def test_a_bad_row_costs_nothing(config: dict[str, Any], row: int) -> None:
    uri = config["output"]["uri"]
    before, found = listing(uri), arrays(uri)
    bad = X.copy()
    bad[row, 2] = np.nan
    write_npy(Path(config["source"]["uri"]), bad)
    with pytest.raises(BadRowsError):
        run_embed(config)
    after = listing(uri)
    assert {key: after[key] for key in before} == before
    for ours, theirs in zip(arrays(uri), found, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert attributes(uri)["status"] == "complete"
    write_npy(Path(config["source"]["uri"]), X)
    assert run_embed(config)["outcome"] == "done"


def test_readers_see_the_old_one_or_the_new_one(config: dict[str, Any], reference: Path) -> None:
    uri = config["output"]["uri"]
    old = arrays(uri)
    opened: Any = zarr.open_group(uri, mode="r")
    looks = []

    def look(stage: str, count: int) -> None:
        if stage in ("extend", "report"):
            assert attributes(uri)["status"] == "complete"
            np.testing.assert_array_equal(arrays(uri)[0], old[0])
            looks.append(stage)

    with watching(look):
        assert run_embed(config)["outcome"] == "done"
    assert len(looks) == 2 * CHUNKS
    equal(uri, reference)
    np.testing.assert_array_equal(opened["embedding"][...], old[0])
    np.testing.assert_array_equal(opened["landmarks/points"][...].shape, (30, 6))
    assert opened.attrs["landmark_ops"]["status"] == "complete"


def test_an_unfinished_successor_is_gone_on_with(config: dict[str, Any], reference: Path) -> None:
    uri = config["output"]["uri"]
    interrupt(config, count=6)
    assert attributes(uri)["status"] == "complete"
    assert ZarrStore(uri).successor.read_attributes()["status"] == "partial"
    with watching() as seen:
        assert run_embed(config)["outcome"] == "resumed"
    assert len(seen["extend"]) == CHUNKS - 5
    assert "select" not in seen
    equal(uri, reference)
    assert not Path(f"{uri}.next").exists()
    assert run_embed({**config, "output": {"uri": uri}})["outcome"] == "already complete"


def test_the_successor_of_another_night_is_not(config: dict[str, Any], reference: Path) -> None:
    """Its source or its config is another: all is computed anew, in chunks of its own."""
    interrupt({**config, "method": {**config["method"], "n_components": 2}}, count=6)
    with watching() as seen:
        assert run_embed(config)["outcome"] == "done"
    assert len(seen["extend"]) == CHUNKS
    equal(config["output"]["uri"], reference)


def test_a_damaged_successor_is_made_anew(config: dict[str, Any], reference: Path) -> None:
    uri = config["output"]["uri"]
    interrupt(config, count=6)
    group: Any = ZarrStore(uri).successor.group
    group["landmarks/points"][0, 0] += 1
    path = Path(uri, "map/readout", group["map/readout"].metadata.encode_chunk_key((0, 0)))
    path.write_bytes(path.read_bytes()[:-1])
    assert run_embed(config)["outcome"] == "done"
    equal(uri, reference)


def test_a_refused_run_keeps_its_chunks(tmp_path: Path, reference: Path) -> None:
    """The cause may pass, or the remedy may be another config: both kinds of next run succeed."""
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    interrupt(config, count=6, error=InputError)
    with watching() as seen:
        assert run_embed(config)["outcome"] == "resumed"
    assert len(seen["extend"]) == CHUNKS - 5
    equal(tmp_path / "out.zarr", reference)
    assert "refused" not in attributes(tmp_path / "out.zarr")

    config["output"]["uri"] = str(tmp_path / "other.zarr")
    interrupt(config, count=6, error=InputError)
    fewer = {**config, "method": {**config["method"], "n_components": 2}}
    assert run_embed(fewer)["components"] == 2


def test_a_source_that_changed_under_the_run(config: dict[str, Any], reference: Path) -> None:
    """An output of old and new rows is useless, and must not block running again, which is the remedy."""
    uri = config["output"]["uri"]
    old = arrays(uri)

    def touch(stage: str, count: int) -> None:
        if (stage, count) == ("extend", 3):
            os.utime(config["source"]["uri"], ns=(0, 0))

    with watching(touch), pytest.raises(RunError, match=r"x\.npy: changed while it was read, .* run again once"):
        run_embed(config)
    np.testing.assert_array_equal(arrays(uri)[0], old[0])
    assert run_embed(config)["outcome"] == "done"
    equal(uri, reference)


@pytest.mark.slow
def test_killed(tmp_path: Path, config: dict[str, Any], reference: Path) -> None:
    """SIGKILL: the old one is whole, the next run goes on."""
    uri = config["output"]["uri"]
    old = arrays(uri)
    with slow_command(tmp_path, config, in_process=1 << 20, seconds=0.3) as process:
        while not Path(f"{uri}.next").exists() or committed(uri) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    assert attributes(uri)["status"] == "complete"
    np.testing.assert_array_equal(arrays(uri)[0], old[0])
    with watching() as seen:
        assert run_embed(config)["outcome"] == "resumed"
    assert len(seen["extend"]) < CHUNKS
    equal(uri, reference)
