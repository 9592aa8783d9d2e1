"""The columns of a table of images: found by name, checked by type, and read from its batches.

A name is a whole column's, dots and all, or leads into structs by dots. Images are bytes, also as a dictionary, or
structs with a field `bytes`, and perhaps `path`, as Hugging Face data sets have them.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from landmark_ops.errors import InputError
from landmark_ops.shards.boxes import BoxForm, BoxLayout, form_of
from landmark_ops.stores.arrow_types import is_list, is_text

Path = tuple[str, ...]


class Wanted(NamedTuple):
    """The columns named by a config; None where it names none."""

    images: str | None = None
    ids: str | None = None
    boxes: str | None = None
    layout: BoxLayout | None = None
    relative: bool = False


class Columns(NamedTuple):
    """Which columns to read, each as the names that lead to it; None where not wanted or not there.

    paths: where the images' own addresses stand, for rows without bytes. form: how boxes are held.
    """

    images: Path
    paths: Path | None
    ids: Path | None
    boxes: Path | None
    form: BoxForm

    @property
    def names(self) -> list[str]:
        """Prefixes of what has to be read, as pyarrow takes them."""
        wanted = (self.images, self.paths, self.ids, self.boxes and self.boxes[:1])
        return [".".join(path) for path in wanted if path is not None]


def choose_columns(uri: str, schema: pa.Schema, wanted: Wanted) -> Columns:
    """The columns that a config names, or the only one that fits. Raises `InputError` listing columns."""
    there = "; ".join(f"{field.name} ({field.type})" for field in schema) or "none"
    images, paths = _images(uri, schema, wanted.images, there)
    ids = boxes = None
    form = BoxForm()
    if wanted.ids is not None:
        ids, kind = _named(uri, schema, wanted.ids, there)
        if not (is_text(kind) or pa.types.is_integer(kind)):
            raise InputError(
                f"{uri}: column {wanted.ids!r} is {kind}, needed are strings or integers as ids; there: {there}"
            )
    if wanted.boxes is not None:
        boxes, kind = _named(uri, schema, wanted.boxes, there)
        form = _form(uri, kind, wanted, there)
    return Columns(images, paths, ids, boxes, form)


def column_of(batch: pa.RecordBatch, path: Path) -> pa.Array:
    """A column of a batch; a struct that is null has null fields."""
    found = batch.column(batch.schema.get_field_index(path[0]))
    for name in path[1:]:
        found = pc.struct_field(found, [found.type.get_field_index(name)])
    return found


def _images(uri: str, schema: pa.Schema, name: str | None, there: str) -> tuple[Path, Path | None]:
    if name is None:
        found = [paths for field in schema if (paths := _bytes_in((field.name,), field.type))]
        if len(found) != 1:
            raise InputError(
                f"{uri}: {len(found)} columns could hold encoded images, exactly 1 is taken without being named: "
                f"{_hint(schema) if not found else 'set source.column'}; columns there: {there}"
            )
        return found[0]
    path, kind = _named(uri, schema, name, there)
    chosen = _bytes_in(path, kind)
    if chosen is None:
        hint = _why_not(kind) or "choose another"
        raise InputError(
            f"{uri}: column {name!r} is {kind}, needed are encoded images as binary: {hint}; columns there: {there}"
        )
    return chosen


def _hint(schema: pa.Schema) -> str:
    reasons = [f"{field.name!r} {why}" for field in schema if (why := _why_not(field.type))]
    return "; ".join(reasons[:3]) or "store the pictures' encoded bytes as binary"


def _why_not(kind: pa.DataType) -> str | None:
    """Why a type that is used for pictures elsewhere is not read, and what to do."""
    if is_text(kind):
        return "is text: base64 is not read, store the decoded bytes as binary; paths are read from a folder"
    if is_list(kind):
        inner = kind.value_type
        if _bytes_in(("",), inner) is not None:
            return "holds several pictures per row: unnest it, one picture per row"
        while is_list(inner):
            inner = inner.value_type
        if _is_number(inner):
            return "is numbers: store the pictures' encoded bytes, or a Zarr array (n, height, width, 3)"
    return None


def _bytes_in(path: Path, kind: pa.DataType) -> tuple[Path, Path | None] | None:
    """Where the bytes are in a column, and where the address beside them, if it holds images at all."""
    if pa.types.is_struct(kind):
        at = kind.get_field_index("bytes")
        if at < 0 or _bytes_in(path, kind.field(at).type) is None:
            return None
        beside = kind.get_field_index("path")
        has_path = beside >= 0 and is_text(kind.field(beside).type)
        return (*path, "bytes"), (*path, "path") if has_path else None
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    return (path, None) if binary else None


def _named(uri: str, schema: pa.Schema, name: str, there: str) -> tuple[Path, pa.DataType]:
    for path in _readings(name):
        at = schema.get_field_index(path[0])
        if at < 0:
            continue
        kind = schema.field(at).type
        lists = 0
        for inner in path[1:]:
            if is_list(kind) and pa.types.is_struct(kind.value_type):
                kind, lists = kind.value_type, lists + 1
            if not pa.types.is_struct(kind) or kind.get_field_index(inner) < 0:
                break
            kind = kind.field(kind.get_field_index(inner)).type
        else:
            return path, pa.list_(kind) if lists else kind
    raise InputError(f"{uri}: holds no column {name!r}; columns there: {there}")


def _readings(name: str) -> list[Path]:
    """A name as a whole, then as leading into structs."""
    parts = name.split(".")
    return [(".".join(parts[:cut]), *parts[cut:]) for cut in range(len(parts), 0, -1)]


def _form(uri: str, kind: pa.DataType, wanted: Wanted, there: str) -> BoxForm:
    inner = kind.value_type if is_list(kind) else kind
    if pa.types.is_struct(inner):
        names = [inner.field(at).name for at in range(inner.num_fields) if _is_number(inner.field(at).type)]
        try:
            return form_of(names, wanted.layout, wanted.relative)
        except ValueError as error:
            raise InputError(f"{uri}: column {wanted.boxes!r}: {error}: rename them, or give lists of four") from error
    if is_list(kind):
        fours = is_list(inner) and _is_number(inner.value_type) and _may_be_four(inner)
        if fours or (_is_number(inner) and _may_be_four(kind)):
            return form_of(None, wanted.layout, wanted.relative)
    raise InputError(
        f"{uri}: column {wanted.boxes!r} is {kind}, needed are boxes: list<list<number>> or list<struct of 4 "
        f"numbers>, or list<number> of length 4 for one box per image; columns there: {there}"
    )


def _may_be_four(kind: pa.DataType) -> bool:
    return not pa.types.is_fixed_size_list(kind) or kind.list_size == 4


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
