"""Landmark sets of a user's own, on record beside the rows that name them: tables outlive the files of a config."""

from __future__ import annotations

import json
from typing import Any

from landmark_ops.errors import InputError
from landmark_ops.keypoints.landmark_sets import LandmarkSet, available, landmark_set
from landmark_ops.keypoints.set_file import SetFile, parse_set, set_of
from landmark_ops.stores.locations import join, read_bytes
from landmark_ops.stores.tables.staged import PRIVATE
from landmark_ops.stores.tables.tables import TableSet


def record_set(tables: TableSet, own: SetFile) -> None:
    """Put a set on record. InputError where rows of another set of this name are there: a name has to mean one set."""
    mine: dict[str, Any] = own.model_dump(mode="json")
    if tables.agree(_record(own.name), mine) != mine:
        raise InputError(
            f"output {tables.uri}: holds rows of another landmark set named {own.name}: give the changed set another "
            "name, or choose another output.uri"
        )


def set_of_rows(tables: str, name: str) -> LandmarkSet | None:
    """The set that rows of the tables at `tables` name: a shipped one or one on record, None where it is neither."""
    if name in available():
        return landmark_set(name)
    place = join(tables, PRIVATE, f"{_record(name)}.json")
    try:
        return set_of(parse_set(json.loads(read_bytes(place))["value"], place))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _record(name: str) -> str:
    return f"landmark-set-{name}"
