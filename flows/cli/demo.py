"""`make demo`: half a million real natural-image patches, written to Zarr, embedded, reported."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

from flows.cli import app as cli

SIDE = 8
CHUNK_ROWS = 16_384
SOURCE = Path("data/patches.zarr")


def write_patches(path: Path) -> int:
    """Write every SIDE x SIDE x 3 window of china.jpg and flower.jpg, its own mean removed; returns their number.

    The array `patches` is (n, 8, 8, 3) float32; 531,720 patches, 408 MB.
    """
    from sklearn.datasets import load_sample_images

    pictures = [picture.astype(np.float32) / 255 for picture in load_sample_images().images]
    windows = [np.lib.stride_tricks.sliding_window_view(picture, (SIDE, SIDE), axis=(0, 1)) for picture in pictures]
    counts = [view.shape[0] * view.shape[1] for view in windows]
    group = zarr.create_group(str(path), overwrite=True)
    array = group.create_array(
        "patches",
        shape=(sum(counts), SIDE, SIDE, 3),
        chunks=(CHUNK_ROWS, SIDE, SIDE, 3),
        dtype="float32",
        compressors=None,
        dimension_names=["patch", "y", "x", "channel"],
    )
    pending: list[NDArray[np.float32]] = []
    held = start = 0
    for view in windows:
        for line in view:  # one picture line of windows at a time: (columns, 3, SIDE, SIDE)
            patches = np.moveaxis(line, 1, -1)
            pending.append(patches - patches.mean(axis=(1, 2, 3), keepdims=True))
            held += len(patches)
            while held >= CHUNK_ROWS:  # whole chunks only
                block = np.concatenate(pending)
                array[start : start + CHUNK_ROWS] = block[:CHUNK_ROWS]
                start += CHUNK_ROWS
                pending, held = [block[CHUNK_ROWS:]], held - CHUNK_ROWS
    if held:
        array[start:] = np.concatenate(pending)
    return sum(counts)


def main() -> None:
    """Write the patches unless they are there, then run `landmarks embed configs/demo.yaml`."""
    if not (SOURCE / "patches" / "zarr.json").exists():
        print(f"writing 8 × 8 × 3 patches of two photographs to {SOURCE} …", flush=True)
        partial = SOURCE.with_suffix(".partial")
        count = write_patches(partial)
        partial.rename(SOURCE)
        print(f"{count:,} patches, 192 numbers each")
    sys.argv = ["landmarks", "embed", "configs/demo.yaml"]
    cli.main()


if __name__ == "__main__":
    main()
