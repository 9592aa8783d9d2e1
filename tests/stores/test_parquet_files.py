"""Which files of a folder are its rows: none is left out unseen, none that is no row any more is read."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dask.utils import natural_sort_key
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from landmark_ops.errors import InputError
from landmark_ops.shards.source import open_shards
from landmark_ops.stores.sources.parquet_files import natural
from landmark_ops.stores.sources.source import open_rows


def write(path: Path, *numbers: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"a": numbers, "image": [b"x"] * len(numbers)}), path)


@pytest.mark.parametrize(
    "names",
    [
        ["part.2", "part.10", "part.100"],
        ["a1b2", "a1b10", "a2b1", "a10b1"],
        ["k=2/x", "k=10/a", "k=10/b"],
        ["part-00001", "part-00010", "part-2"],
        ["1", "01", "001x"],
        ["x", "x2", "²"],
    ],
)
def test_natural_order(names: list[str]) -> None:
    assert sorted(sorted(names), key=natural) == sorted(names[::-1], key=natural)
    if names[0] != "1" and not names[0].startswith("part-"):
        assert sorted(names[::-1], key=natural) == names


NAMES = st.text("01289ab=.-_ ²", min_size=1, max_size=6)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@given(st.sets(st.text("01289ab=.-_ ", min_size=1, max_size=6), max_size=12))  # Dask stumbles over ²
def test_the_order_within_a_folder_is_that_of_dask(names: set[str]) -> None:
    ours = sorted(names, key=natural)
    theirs = sorted(sorted(names), key=natural_sort_key)
    assert ours == theirs


@given(st.sets(PATHS, max_size=20), st.randoms())
def test_folders_stay_together_and_the_listing_does_not_matter(paths: set[str], random: Random) -> None:
    shuffled = sorted(paths)
    random.shuffle(shuffled)
    ours = sorted(shuffled, key=natural)
    assert ours == sorted(paths, key=natural)
    for folder in {path[: at + 1] for path in paths for at, letter in enumerate(path) if letter == "/"}:
        inside = [path.startswith(folder) for path in ours]
        assert len(list(groupby(inside))) <= 3  # before, in it, after


@given(st.integers(0, 10**30), st.integers(0, 10**30), st.sampled_from(["part.{}", "day={}/x", "a/{}-c000"]))
def test_numbers_in_names_are_sorted_by_value(a: int, b: int, pattern: str) -> None:
    assert (natural(pattern.format(a)) < natural(pattern.format(b))) == (a < b)


def test_partitions_under_an_underscore_are_data(tmp_path: Path) -> None:
    write(tmp_path / "lake/_day=1/a.parquet", 1.0)
    write(tmp_path / "lake/_day=2/a.parquet", 2.0)
    write(tmp_path / "lake/_temporary/0/a.parquet", 3.0)
    np.testing.assert_array_equal(open_rows(tmp_path / "lake", columns=["a"]).read(0, 2), [[1], [2]])


@pytest.mark.parametrize("name", ["b.parquet.gzip", "000000_0", "b.PARQUET.snappy", "day=1/part-0"])
def test_parquet_by_another_name_is_not_left_out(tmp_path: Path, name: str) -> None:
    write(tmp_path / "lake/a.parquet", 1.0)
    (tmp_path / "lake/README.md").write_text("PARquet is described here, at some length")
    (tmp_path / "lake/_SUCCESS").write_bytes(b"")
    assert open_rows(tmp_path / "lake", columns=["a"]).n == 1
    write(tmp_path / "lake" / name, 2.0)
    with pytest.raises(
        InputError, match=rf"{name} is a Parquet file by its content, not by its name, so that its rows"
    ):
        open_rows(tmp_path / "lake", columns=["a"])


def test_folders_of_tables_are_refused(tmp_path: Path) -> None:
    """Their folders hold files of older versions: reading all would count rows twice and bring deleted ones back."""
    table = tmp_path / "lake/t"
    for day in (1, 2):
        write_deltalake(table, pa.table({"a": [1.0, 2.0], "day": [day] * 2}), mode="append", partition_by=["day"])
    DeltaTable(table).delete("a = 1.0")
    assert open_rows(table, columns=["a"]).n == 2
    for inside in (table / "day=1", tmp_path / "lake"):
        with pytest.raises(
            InputError, match=r"lake/t is a Delta table, in whose folders lie files.*: read .*lake/t as Delta"
        ):
            open_rows(inside, columns=["a"])
    with pytest.raises(InputError, match="is a Delta table"):
        open_shards(str(table / "day=1"), "parquet")
    for name, mark in (("Iceberg", "metadata/v1.metadata.json"), ("Hudi", ".hoodie/hoodie.properties")):
        write(tmp_path / name / "data/a.parquet", 1.0)
        (tmp_path / name / mark).parent.mkdir()
        (tmp_path / name / mark).write_text("{}")
        with pytest.raises(InputError, match=rf"is an? {name} table, .*: write its rows as plain Parquet, or as Delta"):
            open_rows(tmp_path / name, columns=["a"])


def test_a_delta_table_has_the_columns_of_its_log(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", pa.table({"a": [1.0, 2.0], "v": [[1.0], [2.0]], "k": [7, 7]}), partition_by=["k"])
    (file,) = tmp_path.glob("t/k=7/*.parquet")
    pq.write_table(pa.table({"a": [1.0, 2.0], "v": [[1.0], [2.0]], "k": [8, 8], "unknown": [[1.0], [2.0]]}), file)
    np.testing.assert_array_equal(open_rows(tmp_path / "t").read(0, 2), [[1], [2]])  # v is the only list there
    for name, message in (("unknown", "holds no column 'unknown'"), ("k", "'k' is a partition key")):
        with pytest.raises(InputError, match=message):
            open_rows(tmp_path / "t", columns=[name])
