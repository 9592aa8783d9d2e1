"""Rows of a run's tables that a later round replaces: which they are, and the tables without them.

A file of ours holds the rows of one shard in one round, until a Delta table is compacted. So what is replaced is found
row by row: a file without such rows stays, one of nothing else goes, and any other is written anew without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Replaced(NamedTuple):
    """Rows of earlier rounds that a round replaces.

    version, round: of the shard as the ledger has it. image_ids: of the images whose rows go, None for all of the
    shard's. rows: how many go from each table.
    """

    shard: str
    version: str
    round: int
    image_ids: tuple[str, ...] | None
    rows: Mapping[str, int]


def without(table: pa.Table, replaced: Iterable[Replaced]) -> pa.Table:
    """The rows that stay. `table` has columns `shard` and `image_id`."""
    going = np.zeros(table.num_rows, bool)
    for one in replaced:
        hit = pc.equal(table.column("shard"), one.shard)
        if one.image_ids is not None:
            hit = pc.and_(hit, pc.is_in(table.column("image_id"), pa.array(one.image_ids, pa.string())))
        going |= np.asarray(hit.combine_chunks().fill_null(False))
    return table.filter(pa.array(~going))
