"""Interrupted at any moment, a run goes on from what is committed, checks it, and ends as if nothing had happened."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from landmark_ops.errors import InputError, RunError
from landmark_ops.passes.stored_map import load_map
from tests.flows.interrupting import (
    CHUNKS,
    STEP,
    X,
    committed,
    config,  # noqa: F401  a fixture
    equal,
    interrupt,
    reference,  # noqa: F401  a fixture
    watching,
)
from tests.flows.running import arrays, attributes, run_embed, write_npy

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")


@pytest.mark.parametrize("count", [1, 4, CHUNKS])
def test_only_missing_chunks_are_computed(config: dict[str, Any], reference: Path, count: int) -> None:  # noqa: F811
    interrupt(config, count=count)
    uri = config["output"]["uri"]
    assert attributes(uri)["status"] == "partial"
    kept = committed(uri)
    assert kept == count - 1  # the last one was written, and not yet on record
    with watching() as seen:
        assert run_embed(config)["outcome"] == "resumed"
    assert len(seen["verify"]) == kept
    assert len(seen["extend"]) == CHUNKS - kept
    assert "select" not in seen
    assert sorted(seen["verify"] + seen["extend"]) == [(i * STEP, min((i + 1) * STEP, 400)) for i in range(CHUNKS)]
    equal(uri, reference)
    assert run_embed(config)["outcome"] == "already complete"


def test_interrupted_twice(config: dict[str, Any], reference: Path) -> None:  # noqa: F811
    interrupt(config, count=3)
    interrupt(config, count=3)
    interrupt(config, stage="report", count=1)
    with watching() as seen:
        run_embed(config)
    assert seen["extend"] == []
    equal(config["output"]["uri"], reference)


@pytest.mark.parametrize("damage", ["overwritten", "flipped", "cut", "deleted", "residual"])
def test_a_tampered_chunk_is_computed_again(config: dict[str, Any], reference: Path, damage: str) -> None:  # noqa: F811
    interrupt(config, count=6)
    uri = Path(config["output"]["uri"])
    group: Any = zarr.open_group(uri, mode="r+")
    first = int(np.flatnonzero(group["chunks/committed"][...])[0])
    file = uri / f"embedding/c/{first}/0"
    if damage == "overwritten":  # a valid chunk with other content
        group["embedding"][first * STEP] = 7
    elif damage == "residual":
        group["residual"][first * STEP] = 7
    elif damage == "flipped":
        content = bytearray(file.read_bytes())
        content[10] ^= 1
        file.write_bytes(content)
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:17])
    else:
        file.unlink()
    with watching() as seen:
        run_embed(config)
    assert (first * STEP, first * STEP + STEP) in seen["extend"]
    assert len(seen["extend"]) == CHUNKS - 5 + 1
    equal(uri, reference)


def test_a_table_cut_off_in_writing(config: dict[str, Any], reference: Path) -> None:  # noqa: F811
    """A crash between its columns: extents and counts of committed chunks come from the chunks themselves."""
    interrupt(config, count=6)
    group: Any = zarr.open_group(config["output"]["uri"], mode="r+")
    group["chunks/bad_rows"][...] = 17
    group["chunks/low"][...] = 0
    run_embed(config)
    equal(config["output"]["uri"], reference)
    assert attributes(config["output"]["uri"])["bad_rows"] == 0
    table: Any = zarr.open_group(config["output"]["uri"], mode="r")["chunks"]
    np.testing.assert_array_equal(table["low"][...].min(axis=0), arrays(reference)[0].min(axis=0))


def test_a_lost_table(config: dict[str, Any], reference: Path) -> None:  # noqa: F811
    interrupt(config, count=6)
    shutil.rmtree(Path(config["output"]["uri"]) / "chunks/sha256")
    with watching() as seen:
        run_embed(config)
    assert len(seen["extend"]) == CHUNKS
    equal(config["output"]["uri"], reference)


def test_a_damaged_map_is_refused(config: dict[str, Any]) -> None:  # noqa: F811
    interrupt(config)
    group: Any = zarr.open_group(config["output"]["uri"], mode="r+")
    group["map/readout"][0, 0] += 1e-9
    load_map.cache_clear()  # as in the new process that a resumed run is
    with pytest.raises(RunError, match=r"the stored map has not the hash .* run again with output\.overwrite: true"):
        run_embed(config)
    config["output"]["overwrite"] = True
    assert run_embed(config)["outcome"] == "done"


def test_partial_output_of_another_config(config: dict[str, Any]) -> None:  # noqa: F811
    interrupt(config)
    changed = {**config, "method": {**config["method"], "n_components": 2}}
    with pytest.raises(InputError, match=r"unfinished embedding made with method\.n_components 3 instead of 2: set"):
        run_embed(changed)
    assert attributes(config["output"]["uri"])["status"] == "partial"


def test_partial_output_of_a_changed_source(config: dict[str, Any]) -> None:  # noqa: F811
    interrupt(config)
    write_npy(Path(config["source"]["uri"]), X + 1)
    with pytest.raises(InputError, match="unfinished embedding made with another source, or the source has changed"):
        run_embed(config)


def test_a_partial_output_has_no_map_to_open(config: dict[str, Any]) -> None:  # noqa: F811
    from landmark_ops import open_map

    interrupt(config)
    with pytest.raises(InputError, match="no complete embedding to take a map from: its status is partial"):
        open_map(config["output"]["uri"])


def test_interrupted_before_the_map_is_committed(config: dict[str, Any], reference: Path) -> None:  # noqa: F811
    interrupt(config, stage="select", count=1)
    assert attributes(config["output"]["uri"])["status"] == "partial"
    with watching() as seen:
        assert run_embed(config)["outcome"] == "done"
    assert len(seen["extend"]) == CHUNKS
    equal(config["output"]["uri"], reference)


def test_interrupted_while_the_map_is_committed(
    config: dict[str, Any],  # noqa: F811
    reference: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("landmark_ops.stores.embeddings.zarr.store.ZarrStore.allocate", fail)
        with pytest.raises(KeyboardInterrupt):
            run_embed(config)
    run_embed(config)
    equal(config["output"]["uri"], reference)


def test_interrupted_while_an_output_is_replaced(
    config: dict[str, Any],  # noqa: F811
    reference: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Right after the swap, before the clean-up: readers find the new output, and the next run cleans up."""
    uri = config["output"]["uri"]
    run_embed({**config, "method": {"n_components": 2}})

    def fail(uri: str) -> None:
        raise KeyboardInterrupt

    config["output"]["overwrite"] = True
    with monkeypatch.context() as patch:
        patch.setattr("landmark_ops.stores.embeddings.zarr.metadata.remove", fail)
        with pytest.raises(KeyboardInterrupt):
            run_embed(config)
    equal(uri, reference)
    assert Path(f"{uri}.next").exists()
    config["output"]["overwrite"] = False
    assert run_embed(config)["outcome"] == "already complete"
    assert not Path(f"{uri}.next").exists()
    equal(uri, reference)


def test_source_modified_during_the_run(config: dict[str, Any]) -> None:  # noqa: F811
    def touch(stage: str, count: int) -> None:
        if (stage, count) == ("extend", 3):
            os.utime(config["source"]["uri"], ns=(0, 0))

    with watching(touch), pytest.raises(RunError, match=r"x\.npy: changed while it was read, .* stays incomplete"):
        run_embed(config)
    assert attributes(config["output"]["uri"])["status"] == "partial"


def test_source_rewritten_with_the_same_size_and_time(config: dict[str, Any]) -> None:  # noqa: F811
    """As `cp -p` and `rsync --times` leave it: neither size nor modification time tells."""
    path = config["source"]["uri"]

    def rewrite(stage: str, count: int) -> None:
        if (stage, count) == ("extend", 3):
            before = os.stat(path)
            with open(path, "r+b") as file:
                file.seek(-4, os.SEEK_END)
                file.write(b"\0\0\0\0")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with watching(rewrite), pytest.raises(RunError, match=r"x\.npy: changed while it was read, .* run again once"):
        run_embed(config)
    assert attributes(config["output"]["uri"])["status"] == "partial"


def test_links_to_the_source_are_no_change(config: dict[str, Any]) -> None:  # noqa: F811
    """A backup of hard links changes the inode's time, and nothing that is read."""
    path = config["source"]["uri"]

    def link(stage: str, count: int) -> None:
        if (stage, count) == ("extend", 3):
            os.link(path, f"{path}.backup")

    with watching(link):
        assert run_embed(config)["outcome"] == "done"


def test_output_removed_during_the_run(config: dict[str, Any]) -> None:  # noqa: F811
    def vanish(stage: str, count: int) -> None:
        if (stage, count) == ("extend", 3):
            os.rename(config["output"]["uri"], f"{config['output']['uri']}.moved")

    with watching(vanish), pytest.raises(RunError, match=r"out\.zarr: the output has gone while"):
        run_embed(config)


def test_a_full_disk(config: dict[str, Any], reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Writing fails in a worker, and then for the table of chunks too: one line reports the first reason."""
    from zarr.storage import LocalStore

    original = LocalStore.set

    async def full(self: Any, key: str, value: Any, *rest: Any) -> None:
        if "/c/5/" in f"/{key}/" or (key.startswith("chunks/") and state["full"]):
            state["full"] = True
            raise OSError(28, "No space left on device")
        await original(self, key, value, *rest)

    state = {"full": False}
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "set", full)
        with pytest.raises(
            RunError, match=r"embedding/c/5/0: cannot be written: No space left on device: free some space"
        ):
            run_embed(config)
    assert attributes(config["output"]["uri"])["status"] == "partial"
    run_embed(config)
    equal(config["output"]["uri"], reference)
