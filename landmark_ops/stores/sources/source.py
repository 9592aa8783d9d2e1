"""Opens a source by its address: whatever format of the registry lies there, as `Rows`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral

from landmark_ops.errors import InputError, Word, check_argument
from landmark_ops.stores import locations
from landmark_ops.stores.sources.format import SOURCES, MissingChunks, Options, Place, SourceFormat
from landmark_ops.stores.sources.rows import Rows


def open_rows(
    uri: str | os.PathLike[str],
    *,
    array: str | None = None,
    column: str | None = None,
    columns: Sequence[str] | None = None,
    missing_chunks: MissingChunks = "error",
    version: int | None = None,
) -> Rows:
    """Open a source by its address: Zarr v2/v3, .npy, Parquet (file or folder) or Delta; local or s3://.

    `version`: of a Delta table, the latest unless it is given; `Rows.version` says which was opened.

    Raises `InputError` where nothing is there, it may not be read, it is of no known kind, an option does not fit its
    kind, or a version is not there any more.
    """
    if version is not None:
        check_argument("version", version, Integral, "a whole number, 0 or more")
        version = int(version)
    address = locations.normalise(uri)
    options = Options(array, column, columns, missing_chunks, version)
    return _format_for(address, options.given()).open_rows(address, options)


def open_values(
    uri: str | os.PathLike[str],
    *,
    array: str | None = None,
    column: str | None = None,
    missing_chunks: MissingChunks = "error",
    version: int | None = None,
) -> Rows:
    """One number per row by its address, as rows of one: an array (n,) or (n, 1) of Zarr or .npy, a Parquet column.

    Integers stay what they are, of whatever size. Raises `InputError` as `open_rows` does, but that `missing_chunks`,
    which a config says of its source, is left alone by formats without chunks.
    """
    address = locations.normalise(uri)
    named = Options(array, column, version=version)
    rows = _format_for(address, named.given()).open_values(address, named._replace(missing_chunks=missing_chunks))
    rows.rounds = False
    return rows


def _format_for(address: str, given: Sequence[str]) -> SourceFormat:
    """The format at an address; `InputError` where it does not take one of the options that are given."""
    with locations.opening(address):
        found = format_at(address)
    unfit = [name for name in given if name not in found.options]
    if unfit:
        fitting = ", ".join(found.options) or "none"
        raise InputError(
            f"{address}: is a {found.name} source, {Word[unfit[0].upper()]} does not apply to it: leave it out "
            f"(options that do: {fitting})"
        )
    return found


def format_at(uri: str) -> SourceFormat:
    """What lies at an address, by its marks; nothing of the data is read.

    Raises FileNotFoundError where nothing is there, `InputError` where it is of no known kind.
    """
    formats = sorted(SOURCES, key=lambda one: one.order)
    is_file = locations.is_file(uri)
    if not is_file and not locations.is_folder(uri):
        if not locations.is_remote(uri) and os.path.exists(uri):
            raise InputError(f"{uri}: is neither a file nor a folder: a pipe or device holds no rows")
        raise FileNotFoundError(f"looked for {', '.join(one.title for one in formats)}")
    place = Place(uri, is_file=is_file)
    for one in formats:
        if one.lies_at(place):
            return one
    if is_file:
        known = " and ".join(", ".join(one.suffixes) for one in formats if one.suffixes)
        raise InputError(f"{uri}: is a file of no known kind, known are {known}")
    names = [child.name for child in place.children]
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"
    marks = ", ".join(mark for one in formats for mark in one.marks)
    raise InputError(f"{uri}: is a folder of no known kind (looked for {marks}); it holds {shown}")
