"""Reading arrays so that a missing chunk is an error, where Zarr silently returns the fill value."""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from landmark_ops.errors import DamagedError
from landmark_ops.stores.locations import is_file, join


def read_whole(uri: str, array: zarr.Array[Any], start: int = 0, stop: int | None = None) -> NDArray[Any]:
    """Rows start..stop of an array below `uri` all of whose chunks were written. DamagedError where one is missing.

    Only chunks that hold nothing but fill values are looked for: any other value has been read from somewhere.
    """
    values = np.asarray(array[...] if array.ndim == 0 else array[start:stop])
    step = array.chunks[0] if array.ndim else 1
    for first in range(start // step * step, start + len(values) if array.ndim else 0, step):
        part = values[max(first - start, 0) : first + step - start]
        if part.size and _is_fill(part.flat[:1], array.fill_value) and _is_fill(part, array.fill_value):
            key = join(array.path, array.metadata.encode_chunk_key((first // step, *(0 for _ in array.shape[1:]))))
            if not is_file(join(uri, key)):
                raise DamagedError(f"{uri}: chunk {key} is missing: run again with output.overwrite: true")
    return values


def _is_fill(values: NDArray[Any], fill_value: Any) -> bool:
    return bool(np.isnan(values).all() if fill_value != fill_value else (values == fill_value).all())


def stored_whole(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """An array that also stores chunks of nothing but fill values, so that a missing chunk can be recognised."""
    return array.with_config({"write_empty_chunks": True})
