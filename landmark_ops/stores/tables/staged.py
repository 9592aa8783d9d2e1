"""A shard's rows on their way into the tables: in a worker's memory, and as staged files that a claim names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from landmark_ops.stores.tables.replacing import Replaced

AppTransaction = tuple[str, int]  # id, and a number that only grows

PRIVATE = "_landmark_ops"  # the folder, beside the tables, of claims and of what runs have agreed on


class ShardRows(NamedTuple):
    """The rows of one shard in one round; `version` is the shard's when it was read."""

    shard: str
    version: str
    round: int
    config_hash: str
    run_id: str
    tables: Mapping[str, pa.Table]
    replaces: tuple[Replaced, ...] = ()


class File(NamedTuple):
    """A staged file, its path relative to its table."""

    path: str
    size: int
    rows: int
    bounds: dict[str, tuple[str, str]]


class Staged(NamedTuple):
    """A shard on its way into the tables: what a worker hands back instead of rows."""

    shard: str
    version: str
    round: int
    config_hash: str
    run_id: str
    files: dict[str, File]
    replaces: tuple[Replaced, ...] = ()

    @property
    def transaction(self) -> AppTransaction:
        """The app transaction under which each table takes the shard's file."""
        return f"{self.config_hash}/{self.shard}", self.round


def to_json(staged: Staged) -> bytes:
    """A claim's bytes."""
    files = {name: file._asdict() for name, file in staged.files.items()}
    replaces = [one._asdict() for one in staged.replaces]
    return json.dumps({**staged._asdict(), "files": files, "replaces": replaces}).encode()


def from_json(data: bytes) -> Staged:
    """What `to_json` wrote. Raises ValueError, KeyError or TypeError for other bytes."""
    content = json.loads(data)
    files = {
        name: File(**{**file, "bounds": {column: tuple(pair) for column, pair in file["bounds"].items()}})
        for name, file in content["files"].items()
    }
    replaces = tuple(
        Replaced(**{**one, "image_ids": None if one["image_ids"] is None else tuple(one["image_ids"])})
        for one in content.get("replaces", ())
    )
    return Staged(**{**content, "files": files, "replaces": replaces})
