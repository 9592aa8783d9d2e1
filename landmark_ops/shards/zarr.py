"""A Zarr array of images, (n, H, W, 3) uint8 RGB, as shards of whole chunks.

A shard is a range of rows that covers whole chunks, so its bounds follow from the array alone and stay when rows are
appended. member is the row number, image_id `<array>/<row>`. A chunk that is missing or damaged becomes a failure of
each of its rows: it is never read as black pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, RunError
from landmark_ops.shards.member import DAMAGED_SHARD, MISSING_CHUNK, Limits, Member, Shard
from landmark_ops.stores.faults import storage_failed
from landmark_ops.stores.sources.zarr_rows import ZarrRows

ROWS_PER_SHARD = 256
READ_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class ZarrShard(Shard):
    """Rows start..stop of an array."""

    rows: ZarrRows
    array: str
    start: int
    stop: int

    @property
    def reads(self) -> dict[str, Any]:
        """The array's whole path: names in different groups may be the same."""
        return {"array": self.rows.uri}

    def members(self, skip: Container[str] = (), passed: Counter[str] | None = None) -> Iterator[Member]:
        """The pictures in order."""
        step = self.rows.chunk_rows * max(1, READ_BYTES // max(1, self.rows.d * self.rows.chunk_rows))
        for first in range(self.start, self.stop, step):
            after = min(first + step, self.stop)
            wanted = [row for row in range(first, after) if str(row) not in skip]
            if wanted:
                yield from self._read(first, after, wanted)

    def _read(self, first: int, after: int, wanted: list[int]) -> Iterator[Member]:
        try:
            pictures = self.rows.read(first, after).reshape(after - first, *self.rows.row_shape)
        except (InputError, RunError) as error:
            if error.__cause__ is not None and storage_failed(error.__cause__):  # either type of error
                raise
            chunk = self.rows.chunk_rows
            if after - first > chunk:  # find out which of the chunks it is
                for at in range(first, after, chunk):
                    inside = [row for row in wanted if at <= row < at + chunk]
                    if inside:
                        yield from self._read(at, min(at + chunk, after), inside)
                return
            reason = MISSING_CHUNK if isinstance(error, InputError) else DAMAGED_SHARD
            for row in wanted:
                yield self.failed(str(row), reason, f"rows {first}..{after} cannot be read", f"{self.array}/{row}")
            return
        for row in wanted:
            picture: NDArray[np.uint8] = np.ascontiguousarray(pictures[row - first])
            yield Member(self.id, str(row), image=picture, image_id=f"{self.array}/{row}")


def zarr_shards(root: str, array: str | None, limits: Limits) -> list[ZarrShard]:
    """The shards of the array at or below `root`. Raises `InputError` where it does not hold RGB pictures."""
    rows = ZarrRows(root, array, as_stored=True)
    shape = (rows.n, *rows.row_shape)
    if len(shape) != 4 or shape[3] != 3 or rows.dtype != np.uint8:
        raise InputError(
            f"{rows.uri}: is {shape} {rows.dtype}, needed are pictures (n, height, width, 3) uint8, RGB: "
            "store them so, or name another array with source.column"
        )
    name = rows.uri.rpartition("/")[2]
    unit = rows.chunk_rows
    step = unit * max(1, ROWS_PER_SHARD // unit)
    return [
        ZarrShard(
            id=f"{name}#{start}",
            size=(min(start + step, rows.n) - start) * rows.d,
            version=str(min(start + step, rows.n) - start),
            count=min(start + step, rows.n) - start,
            limits=limits,
            rows=rows,
            array=name,
            start=start,
            stop=min(start + step, rows.n),
        )
        for start in range(0, rows.n, step)
    ]
