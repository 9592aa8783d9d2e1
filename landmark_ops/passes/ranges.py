"""How rows are cut into tasks: whole storage chunks, of a size that keeps a worker busy and its memory small."""

from __future__ import annotations

from landmark_ops.row_range import RowRange
from landmark_ops.stores.sources.rows import Rows

TASK_BYTES = 32 << 20  # decoded input of one task: 20 ms or more of work, small beside any worker's memory
MAX_ROWS = 1 << 18
FEW = 8  # tasks that even a small source is cut into, so that a few workers share it
SMALL_BYTES = 8 << 20  # below it a source is one task: sharing would cost more than it saves


def task_rows(rows: Rows, n_components: int = 1) -> int:
    """Rows per task: about `TASK_BYTES` of input and no more of output, in whole storage chunks.

    Depends on the source alone, never on the number of workers. A chunk larger than that is one task, since it must
    be decoded whole in any case.
    """
    row_bytes = max(rows.d * rows.dtype.itemsize, n_components * 4)
    target = max(1, min(TASK_BYTES // row_bytes, MAX_ROWS))
    if rows.n * row_bytes > SMALL_BYTES:
        target = min(target, -(-rows.n // FEW))
    chunk = max(1, min(rows.chunk_rows, rows.n))
    if chunk >= target:
        return chunk
    return min(target // chunk * chunk, rows.n)


def ranges(n: int, step: int) -> list[RowRange]:
    """0..n cut into ranges of `step` rows, the last one shorter."""
    return [RowRange(start, min(start + step, n)) for start in range(0, n, step)]
