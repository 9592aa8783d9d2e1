"""Opens a source of images as shards, in the format found at its address, and compares them with those on record."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

from landmark_ops.errors import InputError
from landmark_ops.shards.boxes import BoxLayout
from landmark_ops.shards.format import OPTIONS, SHARD_FORMATS, ShardFormat, ShardOptions, in_order
from landmark_ops.shards.member import OnRecord, Shard, readable, say_passed, suffix_of
from landmark_ops.shards.own_output import without_own
from landmark_ops.shards.tree import list_tree
from landmark_ops.stores import locations
from landmark_ops.stores.sources.format import Place
from landmark_ops.stores.sources.parquet_files import is_hidden as is_no_data


class Source(NamedTuple):
    """An opened source.

    format: never "auto". buckets: of a folder, to be kept for later runs; else None. reads: the part that is read, such
    as the column or array that was found: another part has other rows. passed: files beside the images or shards,
    counted by suffix.
    """

    uri: str
    format: str
    shards: list[Shard]
    buckets: int | None
    reads: dict[str, Any]
    passed: Counter[str]


class Comparison(NamedTuple):
    """The shards of a source by what is on record: not begun, changed since, done; and ids on record that are gone."""

    new: list[Shard]
    changed: list[Shard]
    done: list[Shard]
    gone: list[str]


def open_shards(
    uri: str | os.PathLike[str],
    format: str = "auto",
    options: ShardOptions | None = None,
) -> Source:
    """The shards of the images at `uri`, in a fixed order; nothing but listings and footers is read.

    Raises `InputError` where nothing is there, no image is, the kind cannot be told, or an option does not fit.
    """
    chosen = options or ShardOptions()
    if format != "auto" and format not in SHARD_FORMATS:
        valid = ", ".join(["auto", *(one.name for one in in_order())])
        raise InputError(f"source.format is {format!r}, it may be {valid}")
    if chosen.box_layout not in (None, *get_args(BoxLayout)):
        raise InputError(f"source.box_layout is {chosen.box_layout!r}, it may be {', '.join(get_args(BoxLayout))}")
    address = locations.normalise(uri)
    with locations.opening(address):
        if not locations.exists(address):
            *titles, last = (one.title for one in in_order())
            raise FileNotFoundError(f"looked for {', '.join(titles)} or {last}")
        kind = SHARD_FORMATS[format] if format != "auto" else format_at(address)
        _check_options(address, kind, chosen)
        shards, passed, buckets = kind.list_shards(address, chosen)
    return Source(address, kind.name, list(shards), buckets, {"format": kind.name, **_reads(shards, chosen)}, passed)


def format_at(uri: str) -> ShardFormat:
    """The format of what lies at an address, by names alone. `InputError` where that is not clear."""
    if locations.is_file(uri):
        return _format_of_file(uri)
    place = Place(uri, is_file=False)
    for one in in_order():
        if one.marks(place):
            return one
    found: dict[str, str] = {}
    listed = list(list_tree(uri))
    formats = in_order()
    for item in without_own((item.name, item) for item in listed):
        for one in formats:
            if one.takes(item.name) and not is_no_data(item.name):
                found.setdefault(one.name, item.name)
    if len(found) == 1:
        return SHARD_FORMATS[next(iter(found))]
    if not found:
        passed = say_passed(Counter(suffix_of(item.name) for item in listed)) or "nothing at all"
        raise InputError(
            f"{uri}: holds no images, tars or Parquet files at any depth (there: {passed}): name another folder, or "
            "set source.glob with source.format: directory if the names have no image suffix"
        )
    shown = ", ".join(f"{kind} ({readable(name)})" for kind, name in sorted(found.items()))
    raise InputError(f"{uri}: could be read as {shown}: choose one with source.format")


def compare(shards: Sequence[Shard], recorded: Mapping[str, OnRecord]) -> Comparison:
    """Sort shards by what earlier runs put on record, by shard id."""
    here = {shard.id for shard in shards}
    known = [shard for shard in shards if shard.id in recorded]
    done = {shard.id for shard in known if shard.is_done(recorded[shard.id])}
    return Comparison(
        [shard for shard in shards if shard.id not in recorded],
        [shard for shard in known if shard.id not in done],
        [shard for shard in known if shard.id in done],
        sorted(recorded.keys() - here),
    )


def _check_options(uri: str, kind: ShardFormat, options: ShardOptions) -> None:
    for name in OPTIONS:
        if getattr(options, name) is not None and name not in kind.options:
            raise InputError(
                f"{uri}: is a {kind.name} source, source.{name} does not apply to it: leave it out (options that do: "
                f"{', '.join(kind.options)})"
            )


def _format_of_file(uri: str) -> ShardFormat:
    for one in in_order():
        if one.takes(uri):
            return one
    known = ", ".join(suffix for one in in_order() for suffix in one.suffixes)
    raise InputError(f"{uri}: is a file of no known kind, known are {known} and others: set source.format")


def _reads(shards: Sequence[Shard], options: ShardOptions) -> dict[str, Any]:
    """The part of the shards that is read, as it was found; by the options where shards differ."""
    found = {json.dumps(shard.reads) for shard in shards}
    if len(found) == 1:
        return dict(json.loads(found.pop()))
    return {"column": options.column, "ids": options.id_column, "boxes": options.boxes_column} if found else {}
