"""Opens a source of images as shards, by what lies at its address, and compares them with what is on record."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from landmark_ops.errors import InputError
from landmark_ops.shards import folder, parquet, webdataset
from landmark_ops.shards.boxes import BoxLayout
from landmark_ops.shards.columns import Wanted
from landmark_ops.shards.member import (
    IMAGE_SUFFIXES,
    Limits,
    Selection,
    Shard,
    is_hidden,
    is_image,
    readable,
    say_passed,
    suffix_of,
)
from landmark_ops.shards.own_output import without_own
from landmark_ops.stores import locations
from landmark_ops.stores.sources.parquet_files import SUFFIXES as PARQUET_SUFFIXES
from landmark_ops.stores.sources.parquet_files import data_files
from landmark_ops.stores.sources.parquet_files import is_hidden as is_no_data

Format = Literal["auto", "directory", "webdataset", "parquet", "delta", "zarr"]

_APPLY: dict[str, tuple[str, ...]] = {
    "directory": ("glob", "buckets"),
    "webdataset": ("glob",),
    "parquet": ("column", "id_column", "boxes_column", "paths"),
    "delta": ("column", "id_column", "boxes_column", "paths"),
    "zarr": ("column",),
}
Opened = tuple[list[Shard], Counter[str]]
"""The shards, and the files beside them by suffix."""
_ZARR_MARKS = ("zarr.json", ".zarray", ".zgroup")


class ShardOptions(NamedTuple):
    """What may be said of a source.

    glob: which names are images. buckets: of a folder, as at the first run. column: of the encoded images, or the
    array in a Zarr group. id_column, boxes_column: as named. box_layout, box_relative: see shards/boxes.py. paths: the
    folder that paths in the images' column lead from, where it is not that of the source.
    """

    glob: str | None = None
    buckets: int | None = None
    column: str | None = None
    id_column: str | None = None
    boxes_column: str | None = None
    box_layout: BoxLayout | None = None
    box_relative: bool = False
    paths: str | None = None
    limits: Limits = Limits()

    def said(self) -> dict[str, Any]:
        """What was said of columns, to open the source in the same way again."""
        names = ("column", "id_column", "boxes_column", "box_layout", "box_relative", "paths")
        return {name: getattr(self, name) for name in names}


class Source(NamedTuple):
    """An opened source.

    format: never "auto". buckets: what to remember of a folder, None of anything else. reads: what of it is read, the
    column or array that was found among it: rows of another reading are other rows. passed: files beside the images or
    shards, counted by suffix.
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
    format: Format = "auto",
    options: ShardOptions | None = None,
) -> Source:
    """The shards of the images at `uri`, in a fixed order; nothing but listings and footers is read.

    Raises `InputError` where nothing is there, no image is, the kind cannot be told, or an option does not fit.
    """
    chosen = options or ShardOptions()
    if format not in get_args(Format):
        raise InputError(f"source.format is {format!r}, it may be {', '.join(get_args(Format))}")
    if chosen.box_layout not in (None, *get_args(BoxLayout)):
        raise InputError(f"source.box_layout is {chosen.box_layout!r}, it may be {', '.join(get_args(BoxLayout))}")
    address = locations.normalise(uri)
    with locations.opening(address):
        if not locations.exists(address):
            raise FileNotFoundError("looked for images, tars, Parquet, a Delta table or a Zarr array")
        kind = format if format != "auto" else source_format(address)
        _check_options(address, kind, chosen)
        shards, passed = _OPEN[kind](address, chosen)
    buckets = None
    if kind == "directory":
        buckets = chosen.buckets or folder.default_buckets(sum(shard.count or 0 for shard in shards))
    return Source(address, kind, shards, buckets, {"format": kind, **_reads(shards, chosen)}, passed)


def source_format(uri: str) -> str:
    """What kind of source lies at an address, by names alone. `InputError` where that is not clear."""
    if locations.is_file(uri):
        return _format_of_file(uri)
    if any(locations.is_file(locations.join(uri, mark)) for mark in _ZARR_MARKS):
        return "zarr"
    if locations.is_folder(locations.join(uri, "_delta_log")):
        return "delta"
    found: dict[str, str] = {}
    listed = list(folder.list_tree(uri))
    for item in without_own((item.name, item) for item in listed):
        kind = _format_by_suffix(item.name)
        if kind and not is_no_data(item.name):
            found.setdefault(kind, item.name)
    if len(found) == 1:
        return next(iter(found))
    if not found:
        passed = say_passed(Counter(suffix_of(item.name) for item in listed)) or "nothing at all"
        raise InputError(
            f"{uri}: holds no images, tars or Parquet files at any depth (there: {passed}): name another folder, or "
            "set source.glob with source.format: directory if the names have no image suffix"
        )
    shown = ", ".join(f"{kind} ({readable(name)})" for kind, name in sorted(found.items()))
    raise InputError(f"{uri}: could be read as {shown}: choose one with source.format")


def compare(shards: Sequence[Shard], recorded: Mapping[str, str]) -> Comparison:
    """Sort shards by the versions that earlier runs put on record, by shard id."""
    here = {shard.id for shard in shards}
    return Comparison(
        [shard for shard in shards if shard.id not in recorded],
        [shard for shard in shards if recorded.get(shard.id, shard.version) != shard.version],
        [shard for shard in shards if recorded.get(shard.id) == shard.version],
        sorted(recorded.keys() - here),
    )


def _check_options(uri: str, kind: str, options: ShardOptions) -> None:
    for name in ("glob", "buckets", "column", "id_column", "boxes_column", "paths"):
        if getattr(options, name) is not None and name not in _APPLY[kind]:
            raise InputError(
                f"{uri}: is a {kind} source, source.{name} does not apply to it: leave it out (options that do: "
                f"{', '.join(_APPLY[kind])})"
            )


def _format_of_file(uri: str) -> str:
    kind = _format_by_suffix(uri)
    if kind is None:
        known = ", ".join((*webdataset.SUFFIXES[:3], *PARQUET_SUFFIXES[:1], *IMAGE_SUFFIXES[:5]))
        raise InputError(f"{uri}: is a file of no known kind, known are {known} and others: set source.format")
    return kind


def _format_by_suffix(name: str) -> str | None:
    lower = name.lower()
    for kind, suffixes in (
        ("webdataset", webdataset.SUFFIXES),
        ("parquet", PARQUET_SUFFIXES),
    ):
        if lower.endswith(suffixes):
            return kind
    return "directory" if is_image(name) else None


def _reads(shards: Sequence[Shard], options: ShardOptions) -> dict[str, Any]:
    """What of the shards is read, as it was found; as the options say where shards differ."""
    found = {json.dumps(shard.reads) for shard in shards}
    if len(found) == 1:
        return dict(json.loads(found.pop()))
    return {"column": options.column, "ids": options.id_column, "boxes": options.boxes_column} if found else {}


def _open_directory(uri: str, options: ShardOptions) -> Opened:
    listed = list(folder.list_tree(uri))
    root = uri
    if listed and listed[0].name == "":
        root, name = locations.parent_and_name(uri)
        listed = [listed[0]._replace(name=name)]
    listed = without_own((file.name, file) for file in listed)
    selection = Selection(options.glob)
    shards = folder.folder_shards(root, listed, selection, options.buckets, options.limits)
    passed = Counter(suffix_of(file.name) for file in listed if file.name not in selection)
    if not shards and options.buckets is None:
        wanted = f"files matching {options.glob!r}" if options.glob else "files with an image suffix"
        there = f" ({say_passed(passed)})" if passed else ""
        raise InputError(
            f"{uri}: holds no {wanted} among {len(listed)} files{there}: name another folder or source.glob"
        )
    return list(shards), passed


def _open_webdataset(uri: str, options: ShardOptions) -> Opened:
    passed: Counter[str] = Counter()
    if locations.is_file(uri):
        listed = [locations.stat(uri)._replace(key="")]
    else:
        there = without_own((item.key, item) for item in locations.list_objects(uri))
        listed = [item for item in there if _format_by_suffix(item.key) == "webdataset" and not is_hidden(item.key)]
        passed = Counter(suffix_of(item.key) for item in there)
        passed -= Counter(suffix_of(item.key) for item in listed)
    if not listed:
        raise InputError(
            f"{uri}: holds no tars (looked for *{', *'.join(webdataset.SUFFIXES)} at any depth; there: "
            f"{say_passed(passed) or 'nothing'})"
        )
    return list(webdataset.tar_shards(uri, listed, Selection(options.glob), options.limits)), passed


def _open_parquet(uri: str, options: ShardOptions) -> Opened:
    if locations.is_file(uri):
        return _parquet(uri, [uri], options), Counter()
    below = without_own((item.key, item) for item in locations.list_objects(uri))
    if not any(item.key.lower().endswith(PARQUET_SUFFIXES) for item in below):
        raise InputError(f"{uri}: no Parquet files are there but those of our own output: name another folder")
    files = data_files(uri, below)
    read = set(files)
    passed = Counter(suffix_of(item.key) for item in below if locations.join(uri, item.key) not in read)
    return _parquet(uri, files, options), passed


def _open_delta(uri: str, options: ShardOptions) -> Opened:
    from landmark_ops.stores.sources.delta_source import delta_source

    return _parquet(uri, sorted(delta_source(uri).files), options), Counter()


def _parquet(uri: str, files: list[str], options: ShardOptions) -> list[Shard]:
    wanted = Wanted(options.column, options.id_column, options.boxes_column, options.box_layout, options.box_relative)
    folder = locations.parent_and_name(uri)[0] if locations.is_file(uri) else uri
    paths = locations.normalise(options.paths) if options.paths else folder
    return list(parquet.parquet_shards(uri, files, wanted, paths, options.limits))


def _open_zarr(uri: str, options: ShardOptions) -> Opened:
    from landmark_ops.shards.zarr import zarr_shards

    return list(zarr_shards(uri, options.column, options.limits)), Counter()


_OPEN = {
    "directory": _open_directory,
    "webdataset": _open_webdataset,
    "parquet": _open_parquet,
    "delta": _open_delta,
    "zarr": _open_zarr,
}
