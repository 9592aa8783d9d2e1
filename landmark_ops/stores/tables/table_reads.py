"""Reads the tables of a detection run for reports: the account of images, failures by reason, samples of rows.

Works on the tables as keypoints/schema.py lays them out; every read streams, nothing of the size of a table is held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from landmark_ops.stores.tables.tables import GENERATION, LEDGER, TableSet


class Counts(NamedTuple):
    """The account of one generation. Every image is in exactly one of the three that follow `images`."""

    images: int
    with_rows: int
    none_found: int
    failed: int
    instances: int
    shards: int

    @property
    def balanced(self) -> bool:
        """Whether images in = images with rows + images where nothing was found + failures."""
        return self.images == self.with_rows + self.none_found + self.failed


def generations(tables: TableSet) -> list[str]:
    """The config hashes that have complete shards, sorted."""
    found: set[str] = set()
    for batch in tables.dataset(LEDGER).to_batches(columns=[GENERATION]):
        found.update(batch.column(0).to_pylist())
    return sorted(found)


def count(tables: TableSet, config_hash: str) -> Counts:
    """Count a generation, each kind from the table that holds its rows: `images` alone would balance by itself."""
    ours = pc.field(GENERATION) == config_hash
    images = tables.dataset("images")
    keypoints = tables.dataset("keypoints")
    first = keypoints.count_rows(filter=ours & (pc.field("instance") == 0))
    return Counts(
        images=images.count_rows(filter=ours),
        with_rows=first,
        none_found=images.count_rows(filter=ours & (pc.field("instances") == 0)),
        failed=tables.dataset("failures").count_rows(filter=ours),
        instances=keypoints.count_rows(filter=ours),
        shards=len(tables.ledger(config_hash)),
    )


def failures_by_reason(tables: TableSet, config_hash: str) -> dict[str, int]:
    """Reason codes and how often each occurred, most frequent first."""
    found: Counter[str] = Counter()
    wanted = pc.field(GENERATION) == config_hash
    for batch in tables.dataset("failures").to_batches(columns=["reason"], filter=wanted):
        found.update(batch.column(0).to_pylist())
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


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


def column_values(
    tables: TableSet, config_hash: str, column: str, limit: int, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Up to `limit` values of a column of numbers of `keypoints`, each equally likely; nulls left out."""
    wanted = pc.field(GENERATION) == config_hash
    values, keys = np.empty(0), np.empty(0)
    for batch in tables.dataset("keypoints").to_batches(columns=[column], filter=wanted):
        found = batch.column(0).drop_null().to_numpy(zero_copy_only=False)
        values, keys = np.concatenate([values, found]), np.concatenate([keys, rng.random(len(found))])
        if len(keys) > limit:
            best = np.argpartition(keys, limit)[:limit]
            values, keys = values[best], keys[best]
    return values
