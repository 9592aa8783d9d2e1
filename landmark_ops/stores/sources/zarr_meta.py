"""Zarr metadata, read as plain JSON before zarr is asked to open anything.

Opening is where a hostile or broken array must be stopped: the `pickle` filter of Zarr v2 runs code while a chunk is
decoded, and it may stand anywhere in the chain, also inside a shard. So every codec of the chain is held against
explicit lists here, and what is not on them is refused, known or not. Finds the arrays of a group, too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

import numpy as np

from landmark_ops.errors import InputError, Word
from landmark_ops.stores import locations
from landmark_ops.stores.sources.rows import check_shape_and_dtype
from landmark_ops.wording import shown

# Codecs that turn bytes or numbers into bytes or numbers and can do nothing else.
# fmt: off
_NUMERIC = (
    "adler32", "astype", "bitround", "blosc", "bz2", "crc32", "crc32c", "delta", "fixedscaleoffset", "fletcher32",
    "gzip", "lz4", "lzma", "packbits", "quantize", "shuffle", "zlib", "zstd",
)
V3_TYPES = frozenset((
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
))
# fmt: on
BFLOAT16 = "bfloat16"
V2_CODECS = frozenset(_NUMERIC)
V3_CODECS = frozenset(
    [
        *("blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "zstd"),
        *(f"numcodecs.{name}" for name in _NUMERIC),
    ]
)
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
    name = _type_name(document)
    if name == BFLOAT16:
        return np.dtype(np.float32)
    if document.get("zarr_format") == 3:
        return np.dtype(name) if isinstance(name, str) and name in V3_TYPES else np.dtype(object)
    try:
        return np.dtype(name) if isinstance(name, str) else np.dtype(object)
    except TypeError as error:
        raise InputError(f"{uri}: its element type {shown(name)} is not known to NumPy") from error


def _type_name(document: Document) -> Any:
    name = document.get("data_type", document.get("dtype"))
    return name.get("name") if isinstance(name, dict) and not name.get("configuration") else name


def rescaling_filters(document: Document) -> list[str]:
    """Names of the filters that change numbers themselves, so that stored and read ones are not the same."""
    chain = [*(document.get("filters") or []), *_flat_chain(document.get("codecs"))]
    names = {
        _name(codec, "id" if document.get("zarr_format") == 2 else "name").removeprefix("numcodecs.") for codec in chain
    }
    return sorted(names & {"astype", "bitround", "fixedscaleoffset", "quantize"})


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
    return bool(_type_name(document) == BFLOAT16)


def _bfloat16_bits(value: Any) -> int:
    if isinstance(value, str) and value.startswith("0x"):
        return int(value, 16)
    bits = int(np.float32(value).view(np.uint32))  # of NaN and Infinity as JSON has them, too
    if np.isnan(np.float32(value)):
        return (bits >> 16) | 0x40
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16  # to the nearest, ties to even


def check_document(document: Document, uri: str, values: bool = False) -> None:
    """Refuse an array that cannot be rows (or one value per row), or whose chunks must not be decoded.

    Nothing has been decoded yet.

    Raises InputError for them.
    """
    kind = element_type(document, uri)
    if kind.kind == "O":
        raise InputError(
            f"{uri}: elements are of the type {shown(_type_name(document))}, rows must be float16/32/64 or integers: "
            "convert the source"
        )
    check_shape_and_dtype(document["shape"], kind, uri, values)
    version = document.get("zarr_format")
    if version == 2:
        chain: Iterable[Any] = [*(document.get("filters") or []), document.get("compressor")]
        _check_names((_name(codec, "id") for codec in chain if codec is not None), V2_CODECS, uri)
    elif version == 3:
        _check_names((_name(codec, "name") for codec in _flat_chain(document.get("codecs"))), V3_CODECS, uri)
        if document.get("storage_transformers"):
            raise InputError(f"{uri}: uses storage transformers, which are not supported: rewrite the array")
        grid = _name(document.get("chunk_grid"), "name")
        if grid != "regular":
            raise InputError(f"{uri}: its chunk grid is {grid!r}, only 'regular' is supported: rechunk the array")
    else:
        raise InputError(f"{uri}: zarr_format is {version!r}, supported are 2 and 3")


def _flat_chain(codecs: Any) -> Iterator[Any]:
    for codec in codecs or []:
        yield codec
        inside = codec.get("configuration") if isinstance(codec, Mapping) else None
        for part in ("codecs", "index_codecs"):
            if isinstance(inside, Mapping) and part in inside:
                yield from _flat_chain(inside[part])


def _name(entry: Any, field: str) -> str:
    if isinstance(entry, Mapping):
        return str(entry.get(field))
    return str(entry)


def _check_names(names: Iterable[str], allowed: frozenset[str], uri: str) -> None:
    refused = sorted({name for name in names if name not in allowed})
    if refused:
        raise InputError(
            f"{uri}: codec {', '.join(map(repr, refused))} is not on the list of codecs that are safe to decode "
            f"({', '.join(sorted(allowed))}): rewrite the array with one of these"
        )


class ShardIndexFormat:
    """Where each inner chunk lies in a shard: reads the index that a `sharding_indexed` codec writes.

    zarr itself fills an inner chunk whose bytes are cut off as if it had never been written; to tell the two apart
    the index is read here. Only the usual encoding is understood: little-endian uint64 pairs, with or without crc32c.
    """

    def __init__(self, configuration: Mapping[str, Any], chunks_per_shard: tuple[int, ...]) -> None:
        codecs = [_name(codec, "name") for codec in configuration.get("index_codecs", [])]
        bytes_codec = next(iter(configuration.get("index_codecs", [])), None)
        endian = cast(Mapping[str, Any], bytes_codec).get("configuration", {}) if bytes_codec else {}
        self.understood = codecs in (["bytes"], ["bytes", "crc32c"]) and endian.get("endian") == "little"
        self.chunks_per_shard = chunks_per_shard
        self.at_end = configuration.get("index_location", "end") == "end"
        self.nbytes = math.prod(chunks_per_shard) * 16 + (4 if "crc32c" in codecs else 0)

    def end_of(self, index: bytes, chunk: tuple[int, ...]) -> int | None:
        """The byte after the chunk's last one; None where the chunk was never written."""
        table = np.frombuffer(index, "<u8", math.prod(self.chunks_per_shard) * 2).reshape(*self.chunks_per_shard, 2)
        offset, length = (int(number) for number in table[chunk])
        return None if offset == 2**64 - 1 and length == 2**64 - 1 else offset + length


def shard_index_format(document: Document) -> ShardIndexFormat | None:
    """How shards of this array are indexed; None where it has no shards, or shards within something else."""
    codecs = document.get("codecs") or []
    if len(codecs) != 1 or _name(codecs[0], "name") != "sharding_indexed":
        return None
    configuration = codecs[0]["configuration"]
    shard = document["chunk_grid"]["configuration"]["chunk_shape"]
    inner = configuration["chunk_shape"]
    return ShardIndexFormat(configuration, tuple(s // c for s, c in zip(shard, inner, strict=True)))
