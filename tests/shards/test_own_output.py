from __future__ import annotations

from pathlib import Path

import pytest

from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.shards import own_output
from landmark_ops.shards.member import Selection, say_passed, suffix_of
from landmark_ops.shards.own_output import without_own
from landmark_ops.shards.source import open_shards
from landmark_ops.stores.tables.ledger import LEDGER
from landmark_ops.stores.tables.staged import PRIVATE


def test_the_folders_of_an_output_are_those_that_are_written() -> None:
    assert set(own_output.PARTS) == {*SCHEMAS, LEDGER, PRIVATE, "report"}
    assert own_output.PRIVATE == PRIVATE


def test_pictures_beside_an_output_are_read_and_those_of_it_are_not() -> None:
    names = [
        *("a.jpg", "images/b.jpg", "out/c.jpg", "out/_landmark_ops/source.json", "out/report/overlay-01.jpg"),
        *("out/keypoints/x.parquet", "out/images/y.parquet", "out/imagesX/d.jpg", "x.report/index.html"),
        *("x.report/map.png", "my.report/scan.png"),
    ]
    kept = without_own((name, name) for name in names)
    assert kept == ["a.jpg", "images/b.jpg", "out/c.jpg", "out/imagesX/d.jpg", "my.report/scan.png"]
    assert without_own([("_landmark_ops/a", 1), ("images/b.jpg", 2), ("c.jpg", 3)]) == [3]
    assert without_own([]) == []


@pytest.mark.parametrize(
    "name", ["a.jpg", "A.JPEG", "b.MPO", "x.jpg_large", "y.jpg:orig", "z.jpg?w=200", "v1.2.png", "p.jxl"]
)
def test_names_of_images(name: str) -> None:
    assert name in Selection()


@pytest.mark.parametrize(
    "name", ["a.jpg.json", "a.jpgx", "jpg", "a.mp4", "._a.jpg", "Thumbs.db", "a.jpg/b", "a.txt?x=.jpg/"]
)
def test_names_of_other_things(name: str) -> None:
    assert name not in Selection()


def test_what_is_passed_over_is_counted_by_suffix(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.mp4", "c.MP4", "d.json", "e", ".DS_Store", "._a.jpg", "sub/f.mp4", "g.a-b c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    passed = open_shards(tmp_path).passed
    assert passed == {".mp4": 3, ".json": 1, "without a suffix": 2, "hidden": 2}
    assert say_passed(passed) == ".mp4 3, hidden 2, without a suffix 2, .json 1"
    assert say_passed({f".{at}": 1 for at in range(10)}).endswith(", .6 1, .7 1, others 2")
    assert say_passed({}) == ""
    assert suffix_of("x/y.TAR") == ".tar"
