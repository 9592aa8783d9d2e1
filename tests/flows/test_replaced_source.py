"""A source replaced between two runs by one of the same size and time: its content tells, by landmarks stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from landmark_ops.errors import InputError
from tests.flows.interrupting import interrupt
from tests.flows.running import arrays, make_config, points, run_embed, write_npy, write_parquet, write_zarr

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")

X, OTHER = points(), points(seed=9)
REFUSED = r"made with other content of .*x\.\S+ \(row \d+ is not the landmark it was.*: set output\.overwrite: true"


def write(path: Path, X: Any) -> str:
    """A file or folder without compression, so that its sizes do not tell."""
    if path.suffix == ".npy":
        return write_npy(path, X)
    if path.suffix == ".parquet":
        return write_parquet(path, X)
    if path.exists():
        group: Any = zarr.open_group(path, mode="r+")
        group["rows"][...] = X
        return str(path)
    return write_zarr(path, X, (50, 6), compressors=None)


def replace(path: Path, X: Any) -> None:
    """As `cp -p` and `rsync --times` leave it."""
    files = [found for found in ([path] if path.is_file() else path.rglob("*")) if found.is_file()]
    before = {found: found.stat() for found in files}
    write(path, X)
    for found, stat in before.items():
        os.utime(found, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert found.stat().st_size == stat.st_size


@pytest.mark.parametrize("name", ["x.npy", "x.zarr", "x.parquet"])
def test_complete(tmp_path: Path, name: str) -> None:
    config = make_config(write(tmp_path / name, X), tmp_path / "out.zarr")
    run_embed(config)
    replace(tmp_path / name, X)
    assert run_embed(config)["outcome"] == "already complete"
    before = arrays(tmp_path / "out.zarr")
    replace(tmp_path / name, OTHER)
    with pytest.raises(InputError, match=f"holds a complete embedding {REFUSED}"):
        run_embed(config)
    np.testing.assert_array_equal(arrays(tmp_path / "out.zarr")[0], before[0])
    config["output"]["overwrite"] = True
    assert run_embed(config)["outcome"] == "done"
    config["output"]["overwrite"] = False
    assert run_embed(config)["outcome"] == "already complete"


def test_interrupted(tmp_path: Path) -> None:
    """If it were resumed, its rows would be a mixture of two sources."""
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    interrupt(config)
    replace(tmp_path / "x.npy", OTHER)
    with pytest.raises(InputError, match=f"holds an unfinished embedding {REFUSED}"):
        run_embed(config)
    config["output"]["overwrite"] = True
    assert run_embed(config)["outcome"] == "done"
    alone = make_config(write_npy(tmp_path / "other.npy", OTHER), tmp_path / "alone.zarr")
    run_embed(alone)
    for ours, theirs in zip(arrays(tmp_path / "out.zarr"), arrays(tmp_path / "alone.zarr"), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_interrupted_successor(tmp_path: Path) -> None:
    """It is silently made anew, as `overwrite` asks for."""
    source = write_npy(tmp_path / "x.npy", points(seed=5))
    config = make_config(source, tmp_path / "out.zarr")
    run_embed(config)
    write_npy(tmp_path / "x.npy", X)
    config["output"]["overwrite"] = True
    interrupt(config)
    replace(tmp_path / "x.npy", OTHER)
    assert run_embed(config)["outcome"] == "done"
    alone = make_config(write_npy(tmp_path / "other.npy", OTHER), tmp_path / "alone.zarr")
    run_embed(alone)
    for ours, theirs in zip(arrays(tmp_path / "out.zarr"), arrays(tmp_path / "alone.zarr"), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("strategy", ["maxmin", "kmeans", "rpcholesky", "leverage"])
@pytest.mark.parametrize("dtype", ["float64", "float16", "uint8"])
def test_the_same_source_is_never_taken_for_another(tmp_path: Path, strategy: str, dtype: str) -> None:
    """Whatever chose the landmarks, in whatever type they are stored; centres of k-means are no rows."""
    rows = (points() * 10 + 100).clip(0, 255).astype(dtype)
    method = {"name": "nystroem", "n_components": None} if strategy in ("rpcholesky", "leverage") else {}
    config = make_config(
        write_npy(tmp_path / "x.npy", rows), tmp_path / "out.zarr", landmarks={"strategy": strategy}, method=method
    )
    run_embed(config)
    assert run_embed(config)["outcome"] == "already complete"
