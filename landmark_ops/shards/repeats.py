"""Ids that occur more than once in a table of images: the row that is met first counts, the others are flagged.

In a join, two images under one id would count as one. Ids are compared over the whole source, by 64-bit hashes first,
so that millions cost eight bytes each, and then by their values.
"""

from __future__ import annotations

import abc
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from landmark_ops.shards.member import Shard


@dataclass(frozen=True, kw_only=True)
class IdentifiedShard(Shard):
    """Some rows of a table, which may have ids of the user's own.

    first_row: the number of its first row. repeated: numbers of the rows whose id another row has too, and counts.
    """

    first_row: int
    repeated: frozenset[int] = frozenset()

    @property
    @abc.abstractmethod
    def has_ids(self) -> bool:
        """Whether its rows have ids."""

    @abc.abstractmethod
    def ids(self) -> Iterator[str | None]:
        """The ids of the rows in order, None for a row without; the rest of the row is not read."""


def flag_repeated(todo: Sequence[Shard], done: Sequence[Shard]) -> list[Shard]:
    """The shards of `todo`, each with its rows whose id belongs to another row: one in `done`, or an earlier one."""
    shards = [shard for shard in (*done, *todo) if isinstance(shard, IdentifiedShard) and shard.has_ids]
    if not shards:
        return list(todo)
    hashes = [np.fromiter(map(hash, shard.ids()), np.int64) for shard in shards]
    values, counts = np.unique(np.concatenate(hashes), return_counts=True)
    suspects = values[counts > 1]
    seen: set[str] = set()
    repeated: dict[str, set[int]] = defaultdict(set)
    for shard, here in zip(shards, hashes, strict=True):
        for row, name in _named(shard, np.isin(here, suspects)):
            if name in seen:
                repeated[shard.id].add(row)
            seen.add(name)
    return [
        replace(shard, repeated=frozenset(repeated[shard.id])) if isinstance(shard, IdentifiedShard) else shard
        for shard in todo
    ]


def _named(shard: IdentifiedShard, suspect: NDArray[np.bool_]) -> Iterator[tuple[int, str]]:
    """Row and id of the rows that may be repeats; rows without an id are none."""
    if suspect.any():
        for at, name in enumerate(shard.ids()):
            if suspect[at] and name is not None:
                yield shard.first_row + at, name
