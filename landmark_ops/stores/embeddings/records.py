"""Which chunks of an embedding are committed, with content hashes: what a resumed run trusts, after checking it.

One process, the one that runs the flow, keeps the table in memory and writes it into `chunks/` of the output now and
then. A crash loses the latest entries at worst: their chunks are computed again, with the same result.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from landmark_ops.errors import DamagedError
from landmark_ops.row_range import RowRange
from landmark_ops.stores.embeddings.contents import Written
from landmark_ops.stores.embeddings.store import EmbeddingStore

FLUSH_SECONDS = 2.0
COLUMNS = ("sha256", "bad_rows", "first_bad", "low", "high", "committed")  # in the order they are written
DIGEST = "_sha256"  # suffix of the columns that hold each array's digests


class ChunkRecords:
    """The table of committed chunks of one embedding; c chunks of `chunk_rows` rows."""

    def __init__(self, store: EmbeddingStore, n: int, k: int, chunk_rows: int) -> None:
        count = -(-n // chunk_rows)
        self.store, self.n, self.chunk_rows = store, n, chunk_rows
        self.committed = np.zeros(count, np.uint8)
        self.sha256 = np.zeros((count, 32), np.uint8)
        self.digests = {name: np.zeros((count, 32), np.uint8) for name in store.row_arrays()}
        self.bad_rows = np.zeros(count, np.int64)
        self.first_bad = np.full(count, -1, np.int64)
        self.low = np.full((count, k), np.nan, np.float32)
        self.high = np.full((count, k), np.nan, np.float32)
        self._flushed = time.monotonic()
        self._put = False  # whether this process has made the arrays in storage

    @classmethod
    def load(cls, store: EmbeddingStore, n: int, k: int, chunk_rows: int) -> ChunkRecords:
        """The table as last written, or an empty one where none, only part of one or a damaged one is there."""
        records = cls(store, n, k, chunk_rows)
        try:
            stored = store.get("chunks")
        except DamagedError:  # none, a failed checksum, or a part that is not there
            return records
        ours = {name: getattr(records, name) for name in COLUMNS}
        if stored.keys() >= ours.keys() and all(stored[name].shape == ours[name].shape for name in ours):
            for name in ours:
                setattr(records, name, stored[name])
            for name in records.digests:  # tables of older versions have none
                records.digests[name] = stored.get(f"{name}{DIGEST}", records.digests[name])
        return records

    def add(self, start: int, written: Written) -> None:
        """Note a committed chunk; the table reaches storage within `FLUSH_SECONDS`."""
        self.set(start, written)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def set(self, start: int, written: Written) -> None:
        """Note a committed chunk in memory."""
        chunk = start // self.chunk_rows
        self.sha256[chunk] = np.frombuffer(written.sha256, np.uint8)
        for name, digest in written.digests.items():
            self.digests[name][chunk] = np.frombuffer(digest, np.uint8)
        self.bad_rows[chunk], self.first_bad[chunk] = written.bad_rows, written.first_bad
        self.low[chunk], self.high[chunk] = written.low, written.high
        self.committed[chunk] = 1

    def drop(self, start: int) -> None:
        """Forget a chunk whose content is not what was committed."""
        self.committed[start // self.chunk_rows] = 0

    def flush(self) -> None:
        """Write the table. `committed` goes last: a crash in between leaves newer hashes than marks, never older."""
        columns = self._columns()
        if self._put:
            self.store.overwrite("chunks", columns)
        else:
            last = {"committed": columns.pop("committed")}
            self.store.put("chunks", columns, {})
            self.store.put("chunks", last, {})
            self._put = True
        self._flushed = time.monotonic()

    def items(self, *, committed: bool) -> list[RowRange]:
        """The row ranges of the chunks that are, or are not, committed, in order."""
        chunks = np.flatnonzero(self.committed.astype(bool) == committed)
        starts = (int(chunk) * self.chunk_rows for chunk in chunks)
        return [RowRange(start, min(start + self.chunk_rows, self.n)) for start in starts]

    def matches(self, start: int, written: Written) -> bool:
        """Whether a chunk read back is the one that was committed."""
        return self.sha256[start // self.chunk_rows].tobytes() == written.sha256

    def _columns(self) -> dict[str, Any]:
        digests = {f"{name}{DIGEST}": values for name, values in self.digests.items()}
        return {**digests, **{name: getattr(self, name) for name in COLUMNS}}
