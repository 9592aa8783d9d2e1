"""Zarr metadata, read as plain JSON before zarr is asked to open anything: arrays, groups, types, sparse matrices.

Finds the array that is meant within a group. `zarr_codecs` says whether it may be decoded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from landmark_ops.errors import InputError, Word
from landmark_ops.stores import locations
from landmark_ops.stores.sources.rows import check_shape_and_dtype
from landmark_ops.wording import shown

# fmt: off
V3_TYPES = frozenset((
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
))
# fmt: on
BFLOAT16 = "bfloat16"
Document = dict[str, Any]


def read_document(uri: str) -> Document | None:
    """The metadata document of the array or group at `uri`, v3 or v2, attributes included; None where there is neither.

    A v2 group without `.zgroup` is not one. Raises `InputError` where the document is not JSON.
    """
    for name in ("zarr.json", ".zarray", ".zgroup"):
        document = _read_object(locations.join(uri, name))
        if document is None:
            continue
        if name != "zarr.json":
            kind = "array" if name == ".zarray" else "group"
            attributes = _read_object(locations.join(uri, ".zattrs")) or {}
            document = {"node_type": kind, **document, "attributes": attributes}
        return document
    return None


def _read_object(address: str) -> Document | None:
    try:
        text = locations.read_bytes(address)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InputError(f"{address}: is not JSON ({error}): the array's metadata is damaged") from error
    if not isinstance(document, dict):
        raise InputError(f"{address}: holds {type(document).__name__}, not an object: it is damaged")
    return document


def is_array(document: Document) -> bool:
    """Whether a metadata document is an array's, not a group's."""
    return document.get("node_type", "array") == "array" and "shape" in document


class Sparse(NamedTuple):
    """A sparse matrix as anndata stores one: a group of the arrays data, indices and indptr."""

    format: str  # "csr" or "csc"
    shape: tuple[int, int]


def sparse_of(document: Document) -> Sparse | None:
    """What a group's attributes say of the sparse matrix it holds; None where it holds none."""
    attributes = document.get("attributes") or {}
    encoding = str(attributes.get("encoding-type") or attributes.get("h5sparse_format") or "")
    shape = attributes.get("shape") or attributes.get("h5sparse_shape")
    form = encoding.removesuffix("_matrix")
    if is_array(document) or form not in ("csr", "csc") or not isinstance(shape, list):
        return None
    if [type(size) for size in shape] != [int, int]:
        return None
    return Sparse(form, (shape[0], shape[1]))


def find_array(uri: str, name: str | None) -> tuple[str, Document]:
    """The address and metadata of the array, or of the sparse matrix, meant by `uri` and `name`.

    Without a name, the address itself where it is one, else the only one in it that could be rows.
    Raises `InputError` listing what is there where the name is wrong or leaves a choice.
    """
    if name:
        document = read_document(locations.join(uri, name))
        if document is not None and (is_array(document) or sparse_of(document)):
            return locations.join(uri, name), document
    here = read_document(uri)
    if here is None:
        sought = f"{name}/zarr.json, {name}/.zarray or a group" if name else "zarr.json, .zarray, .zgroup"
        raise InputError(f"{uri}: no Zarr array or group is there (looked for {sought}): check {Word.URI}")
    if is_array(here) or sparse_of(here):
        if not name:
            return uri, here
        raise InputError(f"{uri}: is an array itself and holds no array {name!r}: leave {Word.ARRAY} out")
    arrays = dict(_arrays_below(uri, ""))
    listing = "; ".join(_summary(key, found) for key, found in sorted(arrays.items())) or "none"
    if name:
        raise InputError(f"{uri}: holds no array {name!r}: set {Word.ARRAY} to one of those there: {listing}")
    suitable = [key for key, found in arrays.items() if _could_be_rows(found)]
    if len(suitable) != 1:
        raise InputError(
            f"{uri}: {len(suitable)} arrays there could be rows, exactly 1 is taken without being named: "
            f"set {Word.ARRAY}; arrays there: {listing}"
        )
    return locations.join(uri, suitable[0]), arrays[suitable[0]]


def _arrays_below(uri: str, prefix: str) -> Iterator[tuple[str, Document]]:
    for child in locations.children(uri):
        if not child.is_folder or child.name.startswith("."):
            continue
        document = read_document(locations.join(uri, child.name))
        if document is None:
            continue
        if is_array(document) or sparse_of(document):
            yield prefix + child.name, document
        else:
            yield from _arrays_below(locations.join(uri, child.name), f"{prefix}{child.name}/")


def _summary(key: str, document: Document) -> str:
    if sparse := sparse_of(document):
        return f"{key} ({sparse.shape[0]} x {sparse.shape[1]}, sparse {sparse.format})"
    shape = " x ".join(str(size) for size in document["shape"])
    return f"{key} ({shape} {document.get('data_type', document.get('dtype'))})"


def _could_be_rows(document: Document) -> bool:
    if sparse_of(document):
        return True
    try:
        check_shape_and_dtype(document["shape"], element_type(document, ""), "")
    except InputError:
        return False
    return True


def element_type(document: Document, uri: str) -> np.dtype[Any]:
    """The NumPy type that an array's elements are read as; object where it is none of NumPy's plain ones.

    Raises InputError for a type that NumPy does not know.
    """
    name = type_name(document)
    if name == BFLOAT16:
        return np.dtype(np.float32)
    if document.get("zarr_format") == 3:
        return np.dtype(name) if isinstance(name, str) and name in V3_TYPES else np.dtype(object)
    try:
        return np.dtype(name) if isinstance(name, str) else np.dtype(object)
    except TypeError as error:
        raise InputError(f"{uri}: its element type {shown(name)} is not known to NumPy") from error


def type_name(document: Document) -> Any:
    """What an array's metadata calls its element type; a dictionary for one with parameters, as v3 has them."""
    name = document.get("data_type", document.get("dtype"))
    return name.get("name") if isinstance(name, dict) and not name.get("configuration") else name


def carried(document: Document) -> Document:
    """The document of an array of bfloat16, which zarr does not know, as one of the uint16 that carry its bits."""
    changed = dict(document)
    if document["zarr_format"] == 3:
        changed["data_type"] = "uint16"
    else:
        changed["dtype"] = "<u2"
        del changed["node_type"]  # which only we say of v2
    if document.get("fill_value") is not None:
        changed["fill_value"] = _bfloat16_bits(document["fill_value"])
    return changed


def is_bfloat16(document: Document) -> bool:
    """Whether an array's elements are bfloat16, as tensorstore writes them."""
    return bool(type_name(document) == BFLOAT16)


def _bfloat16_bits(value: Any) -> int:
    if isinstance(value, str) and value.startswith("0x"):
        return int(value, 16)
    bits = int(np.float32(value).view(np.uint32))  # of NaN and Infinity as JSON has them, too
    if np.isnan(np.float32(value)):
        return (bits >> 16) | 0x40
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16  # to the nearest, ties to even
