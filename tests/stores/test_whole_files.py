"""A file is the old one or the new one, whatever happens while it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from landmark_ops.stores.whole_files import replace_file


def test_it_replaces_what_is_there_and_makes_the_folder(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    replace_file(target, b"old")
    replace_file(target, b"new", lasting=True)
    assert target.read_bytes() == b"new"
    assert os.listdir(target.parent) == ["file"]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    replace_file(target, b"old")

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        replace_file(target, b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_readers_see_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, seen = tmp_path / "file", []
    replace_file(target, b"old")
    made = os.replace

    def watch(partial: Path, place: Path) -> None:
        seen.append((target.read_bytes(), Path(partial).read_bytes(), Path(partial).name.startswith(".")))
        made(partial, place)

    monkeypatch.setattr(os, "replace", watch)
    replace_file(target, b"new")
    assert seen == [(b"old", b"new", True)]
