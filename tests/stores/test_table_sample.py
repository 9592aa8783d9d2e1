from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from landmark_ops.stores.tables.sample import rows_of, sample_images
from landmark_ops.stores.tables.tables import TableSet
from tests.stores.table_writers import GENERATION, count, open_tables, shard_rows


def filled(path: Path, form: str) -> TableSet:
    tables = open_tables(str(path / "out"), form)
    for at in range(3):
        rows = [shard_rows(f"{at}", [2, 0, -1, 1] * 5), shard_rows(f"{at}", [1], generation="beef")]
        tables.commit([staged for row in rows if (staged := tables.stage(row))])
    return tables


@pytest.mark.parametrize("form", ["delta", "parquet"])
def test_a_sample_and_its_rows(tmp_path: Path, form: str, rng: np.random.Generator) -> None:
    tables = filled(tmp_path, form)
    assert count(tables, GENERATION) == (60, 30, 15, 15, 45, 3)
    sample = sample_images(tables, GENERATION, 7, rng)
    assert sample.num_rows == 7
    assert set(sample.column("instances").to_pylist()) <= {1, 2}
    rows = rows_of(tables, GENERATION, sample.column("image_id").to_pylist())
    assert rows.num_rows == sum(sample.column("instances").to_pylist())


def test_a_sample_reaches_every_image(tmp_path: Path) -> None:
    tables = filled(tmp_path, "delta")
    seen: set[str] = set()
    for seed in range(40):
        seen.update(sample_images(tables, GENERATION, 5, np.random.default_rng(seed)).column("image_id").to_pylist())
    assert len(seen) == 30


def test_a_sample_of_nothing(tmp_path: Path, rng: np.random.Generator) -> None:
    tables = open_tables(str(tmp_path / "out"))
    assert count(tables, GENERATION) == (0, 0, 0, 0, 0, 0)
    assert sample_images(tables, GENERATION, 3, rng).num_rows == 0
