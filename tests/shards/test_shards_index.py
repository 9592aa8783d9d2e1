from __future__ import annotations

import re
from pathlib import Path

import pytest

from landmark_ops.errors import InputError
from landmark_ops.shards.format import ShardOptions
from landmark_ops.shards.source import open_shards


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["a/b.JPG", "notes.txt"], "directory"),
        (["a/0.tar", "0.json"], "webdataset"),
        (["0.tar.gz"], "webdataset"),
        (["a.jpg", "_tmp/b.tar", ".git/c.parquet"], "directory"),
    ],
)
def test_the_kind_is_told_by_names(tmp_path: Path, names: list[str], kind: str) -> None:
    put(tmp_path, *names)
    assert open_shards(tmp_path).format == kind


def test_mixtures_must_be_decided(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "b.tar")
    message = r"could be read as directory (a.jpg), webdataset (b.tar): choose one with source.format"
    with pytest.raises(InputError, match=re.escape(message)):
        open_shards(tmp_path)
    assert [shard.id for shard in open_shards(tmp_path, "webdataset").shards] == ["b.tar"]


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    with pytest.raises(InputError, match=r"is a directory source, source\.column does not apply"):
        open_shards(tmp_path, options=ShardOptions(column="image"))
    with pytest.raises(InputError, match=r"source\.format is 'tar', it may be auto, directory"):
        open_shards(tmp_path, "tar")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"holds no tars \(looked for \*\.tar"):
        open_shards(tmp_path, "webdataset")


def test_files_of_no_known_kind(tmp_path: Path) -> None:
    put(tmp_path, "a.txt")
    with pytest.raises(InputError, match="is a file of no known kind"):
        open_shards(tmp_path / "a.txt")
