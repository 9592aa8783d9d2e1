"""Which pieces of a grid of chunks, or of stored objects, a range of rows touches, and which part of each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

Region = tuple[slice, ...]
Coordinates = tuple[int, ...]


def axis_range(size: int, low: int, high: int) -> range:
    """The pieces of one axis, each of `size`, that low..high touches."""
    return range(low // size, -(-high // size))


def covering(sizes: tuple[int, ...], start: int, stop: int, row_shape: tuple[int, ...]) -> Iterator[Coordinates]:
    """Grid coordinates of all pieces of `sizes` that rows start..stop touch."""
    spans = [(start, stop), *((0, size) for size in row_shape)]
    return itertools.product(*(axis_range(s, low, high) for s, (low, high) in zip(sizes, spans, strict=True)))


def region_of(
    coordinates: Coordinates, sizes: tuple[int, ...], start: int, stop: int, row_shape: tuple[int, ...]
) -> Region:
    """The part of one piece that lies in rows start..stop, in indices of the whole array."""
    spans = [(start, stop), *((0, size) for size in row_shape)]
    return tuple(
        slice(max(i * s, low), min((i + 1) * s, high))
        for i, s, (low, high) in zip(coordinates, sizes, spans, strict=True)
    )


def shifted(region: Region, start: int) -> Region:
    """The same region in indices of the block that begins at row `start`."""
    return slice(region[0].start - start, region[0].stop - start), *region[1:]
