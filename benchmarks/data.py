"""Rows to measure on: the demo's patches, or generated ones of any number in little memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

from benchmarks.machine import ROOT
from benchmarks.timing import say
from landmark_ops.configs.embed import SourceConfig
from landmark_ops.stores.sources.source import open_rows

SEED = 20260101


def patches(folder: Path, quick: bool) -> SourceConfig:
    """531,720 × 192 float32 natural-image patches, uncompressed: those of `make demo` if they are there.

    Quick: 8,192 generated rows of the same width instead.
    """
    if quick:
        return write_generated(folder / "rows.zarr", 8192, 192, 1024)
    from flows.cli.demo import write_patches

    made = ROOT / "data" / "patches.zarr"  # renamed there only once whole
    if not (made / "patches" / "zarr.json").exists():
        made = folder / "patches.zarr"
        if not made.exists():
            say("writing the demo's patches, 408 MB")
            write_patches(made)
    return SourceConfig(uri=str(made), array="patches")


def sampled_patches(folder: Path, count: int, quick: bool) -> SourceConfig:
    """`count` of the demo's patches drawn by seed, in their order, as a Zarr of their own; all of them where n = count.

    Quick: as many generated rows.
    """
    path = folder / f"patches-{count}.zarr"
    if quick:
        return write_generated(path, count, 192, 1024)
    source = patches(folder, quick)
    rows = open_rows(source.uri, array=source.array)
    if rows.n == count:
        return source
    if not path.exists():
        drawn = np.sort(np.random.default_rng(0).choice(rows.n, count, replace=False))
        array = zarr.create_group(str(path)).create_array(
            "rows", shape=(count, rows.d), chunks=(rows.chunk_rows, rows.d), dtype="float32", compressors=None
        )
        array[:] = rows.take(drawn)
    return SourceConfig(uri=str(path), array="rows")


def write_generated(path: Path, n: int, d: int, chunk_rows: int) -> SourceConfig:
    """Write n generated rows of d features, float32, uncompressed, one chunk in memory at a time."""
    group = zarr.create_group(str(path), overwrite=True)
    array = group.create_array("rows", shape=(n, d), chunks=(chunk_rows, d), dtype="float32", compressors=None)
    for start in range(0, n, chunk_rows):
        array[start : start + chunk_rows] = generated(start, min(start + chunk_rows, n), d, chunk_rows)
    return SourceConfig(uri=str(path), array="rows")


def generated(start: int, stop: int, d: int, chunk_rows: int) -> NDArray[np.float32]:
    """Normal rows start..stop of one chunk, standard deviations falling as 1/√feature; the same at every call.

    Philox is keyed by the number of the chunk, so chunks need no common state.
    """
    bits = np.random.Philox(key=np.array([SEED, start // chunk_rows], np.uint64))
    rows = np.random.Generator(bits).standard_normal((stop - start, d), np.float32)
    rows /= np.sqrt(np.arange(1, d + 1, dtype=np.float32))
    return rows
