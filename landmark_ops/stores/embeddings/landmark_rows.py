"""Whether a source still holds the landmarks that an output was made from: its content, where size and time agree.

`cp -p` and `rsync --times` put another file in a source's place with the size and the modification time of the one
before. Landmarks that are rows are stored with the output as they were read, so some of them are read again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.locations import is_remote
from landmark_ops.stores.sources.rows import Rows

ROWS, CHUNKS = 16, 8  # looked at, at most
READ_BYTES = 16 << 20  # of decoded chunks, at most, but always one chunk


def find_replaced(store: EmbeddingStore, rows: Rows) -> int | None:
    """The first of some landmarks whose row has changed in the source; None where there is none.

    Only local sources are looked at: versions of objects on S3 are their content's own. Points that are no rows say
    nothing. Raises DamagedError where landmarks are missing, RunError where rows cannot be read.
    """
    if is_remote(rows.uri) or not store.has("landmarks", "indices", "points"):
        return None
    landmarks = store.get("landmarks", ["indices", "points"])
    indices = landmarks["indices"]
    at = drawn(indices, max(rows.chunk_rows, 1), rows.d * rows.dtype.itemsize)
    if len(at) == 0:
        return None
    points = landmarks["points"][at]
    found = rows.take(indices[at]).astype(points.dtype)
    differ = np.flatnonzero((found != points).any(axis=1))
    return int(indices[at[differ[0]]]) if len(differ) else None


def drawn(indices: NDArray[np.int64], chunk_rows: int, row_bytes: int) -> NDArray[np.int64]:
    """Which landmarks are looked at, in the order of their rows: spread evenly over chunks, and within them.

    `indices`: (m,) row numbers, -1 for points that are no rows. No more chunks than the bounds of this module allow.
    """
    order = np.argsort(indices, kind="stable")
    order = order[indices[order] >= 0]
    chunks = np.unique(indices[order] // chunk_rows)
    most = min(ROWS if chunk_rows == 1 else CHUNKS, max(1, READ_BYTES // (chunk_rows * row_bytes)))
    parts = [order[indices[order] // chunk_rows == chunk] for chunk in spread(chunks, most)]
    each = ROWS // max(1, len(parts))
    return np.concatenate([spread(part, each) for part in parts]) if parts else np.zeros(0, np.int64)


def spread(values: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of the values, the first and the last among them."""
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).round().astype(np.int64)]
