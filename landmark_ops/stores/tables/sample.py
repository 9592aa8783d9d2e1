"""Some of the images of a detection run, and their rows, for pictures.

Works on the tables as keypoints/schema.py lays them out; every read streams, nothing of the size of a table is held.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from landmark_ops.stores.tables.ledger import GENERATION
from landmark_ops.stores.tables.tables import TableSet


def sample_images(tables: TableSet, config_hash: str, count: int, rng: np.random.Generator) -> pa.Table:
    """Up to `count` rows of `images` in which something was found, each equally likely, in the table's order."""
    wanted = (pc.field(GENERATION) == config_hash) & (pc.field("instances") > 0)
    kept: pa.Table | None = None
    keys = np.empty(0)
    for batch in tables.dataset("images").to_batches(filter=wanted):
        rows = pa.Table.from_batches([batch])
        kept = rows if kept is None else pa.concat_tables([kept, rows])
        keys = np.concatenate([keys, rng.random(batch.num_rows)])
        if len(keys) > count:  # the smallest keys of all stay, as if all had been drawn at once
            best = np.sort(np.argpartition(keys, count)[:count])
            kept, keys = kept.take(pa.array(best)), keys[best]
    return tables.dataset("images").schema.empty_table() if kept is None else kept


def rows_of(tables: TableSet, config_hash: str, image_ids: Sequence[str]) -> pa.Table:
    """The keypoint rows of some images, by image and instance."""
    wanted = (pc.field(GENERATION) == config_hash) & pc.field("image_id").isin(list(image_ids))
    found = tables.dataset("keypoints").to_table(filter=wanted)
    return found.sort_by([("image_id", "ascending"), ("instance", "ascending")])
