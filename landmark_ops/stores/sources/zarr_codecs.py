"""Which Zarr arrays may be decoded: the codecs of their metadata held against explicit lists.

Opening is where a hostile or broken array must be stopped: the `pickle` filter of Zarr v2 runs code while a chunk is
decoded, and it may stand anywhere in the chain, also inside a shard. So every codec of the chain is checked here, and
any that is not on the lists is refused. Reads the index of shards, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.stores.sources.rows import check_shape_and_dtype
from landmark_ops.stores.sources.zarr_meta import Document, element_type, type_name
from landmark_ops.wording import shown

# Codecs that turn bytes or numbers into bytes or numbers and can do nothing else.
# fmt: off
_NUMERIC = (
    "adler32", "astype", "bitround", "blosc", "bz2", "crc32", "crc32c", "delta", "fixedscaleoffset", "fletcher32",
    "gzip", "lz4", "lzma", "packbits", "quantize", "shuffle", "zlib", "zstd",
)
# fmt: on
V2_CODECS = frozenset(_NUMERIC)
V3_CODECS = frozenset(
    [
        *("blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "zstd"),
        *(f"numcodecs.{name}" for name in _NUMERIC),
    ]
)


def rescaling_filters(document: Document) -> list[str]:
    """Names of the filters that change numbers themselves, so that stored and read ones are not the same."""
    chain = [*(document.get("filters") or []), *_flat_chain(document.get("codecs"))]
    names = {
        _name(codec, "id" if document.get("zarr_format") == 2 else "name").removeprefix("numcodecs.") for codec in chain
    }
    return sorted(names & {"astype", "bitround", "fixedscaleoffset", "quantize"})


def check_document(document: Document, uri: str, values: bool = False) -> None:
    """Refuse an array that cannot be rows (or one value per row), or whose chunks must not be decoded.

    Nothing has been decoded yet. Raises InputError for them.
    """
    kind = element_type(document, uri)
    if kind.kind == "O":
        raise InputError(
            f"{uri}: elements are of the type {shown(type_name(document))}, rows must be float16/32/64 or integers: "
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
