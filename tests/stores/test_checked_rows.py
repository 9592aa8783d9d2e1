"""A bit that flips in a table of ours is found when it is read, and never read as another number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from landmark_ops.errors import RunError
from landmark_ops.stores.tables.checked_rows import CheckedRows, read_file
from tests.stores.table_writers import GENERATION, open_tables, shard_rows


@pytest.mark.parametrize("form", ["delta", "parquet"])
def test_a_flipped_bit_is_told_or_changes_nothing(tmp_path: Path, form: str, rng: np.random.Generator) -> None:
    tables = open_tables(str(tmp_path / "out"), form)
    tables.commit([staged for staged in [tables.stage(shard_rows("a", [3] * 40))] if staged])
    (file,) = (tmp_path / "out/keypoints").rglob("*.parquet")
    good, rows = file.read_bytes(), tables.dataset("keypoints").to_table().to_pylist()
    metadata = pq.read_metadata(file)
    columns = [metadata.row_group(0).column(at) for at in range(metadata.num_columns)]
    first = min(column.dictionary_page_offset or column.data_page_offset for column in columns)
    last = max(column.data_page_offset + column.total_compressed_size for column in columns)
    told: list[str] = []
    for at in rng.integers(first, min(last, len(good)), 80):
        damaged = bytearray(good)
        damaged[at] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        for read in (lambda: tables.dataset("keypoints").to_table(), lambda: read_file(str(file))):
            try:
                found = read()
            except RunError as error:
                told.append(str(error))
                continue
            if "config_hash" in found.column_names:
                assert found.to_pylist() == rows
    assert len(told) > 100
    assert all("keypoints" in text and "the table is damaged, restore" in text and "\n" not in text for text in told)
    file.write_bytes(good)
    assert tables.dataset("keypoints").to_table().to_pylist() == rows


def test_every_way_to_read_checks(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path / "out"), "delta")
    tables.commit([staged for staged in [tables.stage(shard_rows("a", [3] * 40))] if staged])
    (file,) = (tmp_path / "out/keypoints").rglob("*.parquet")
    column = next(
        pq.read_metadata(file).row_group(0).column(at)
        for at in range(20)
        if pq.read_metadata(file).row_group(0).column(at).path_in_schema == "score"
    )
    data = bytearray(file.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 3] ^= 1
    file.write_bytes(data)
    rows = tables.dataset("keypoints")
    assert isinstance(rows, CheckedRows)
    assert rows.count_rows() == 120
    assert "score" in rows.schema.names
    for read in (
        lambda: rows.to_table(),
        lambda: list(rows.to_batches(columns=["score"])),
        lambda: rows.head(5),
        lambda: tables.rows_of("keypoints", GENERATION, "a", 2),
    ):
        with pytest.raises(RunError, match="the table is damaged"):
            read()
    assert rows.to_table(columns=["image_id"]).num_rows == 120
