"""A Zarr array as rows: v2 and v3, sharded, chunked along any axis, either byte order, local or S3 or already open.

zarr answers a read with the fill value wherever an object is missing, whether it was never written, was lost, or one
request failed in a way that looks like absence (zarr-python #486, fsspec #255). A lost chunk would so become plausible
zeros in a result. Therefore every stored piece that reads as nothing but fill value is looked up, and a missing object
is an error unless the config allows it. Decodes only codecs on the lists in `zarr_codecs`, and what the array's
attributes say of its numbers by `zarr_packing`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.buffer.cpu import NDBuffer
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync  # stores are bound to zarr's event loop: only its own sync may drive them

from landmark_ops.errors import InputError, RunError, Word
from landmark_ops.stores import locations
from landmark_ops.stores.faults import fault_of
from landmark_ops.stores.slots import key_slot, slot_of
from landmark_ops.stores.sources import zarr_codecs, zarr_meta
from landmark_ops.stores.sources.format import MissingChunks
from landmark_ops.stores.sources.rows import Rows, check_exact, check_range, check_shape_and_dtype
from landmark_ops.stores.sources.zarr_arrays import (
    address_of,
    document_of,
    list_contents,
    open_array,
    without_attributes,
)
from landmark_ops.stores.sources.zarr_grid import Coordinates, Region, axis_range, covering, region_of, shifted
from landmark_ops.stores.sources.zarr_packing import Packing, packing_of


class ZarrRows(Rows):
    """An array of shape (n, ...) in a Zarr store.

    Parameters
    ----------
    source
        Address of an array or of a group, or an open `zarr.Array`.
    array
        Path of the array within the group; None where there is only one that could be rows.
    missing_chunks
        What a chunk without a stored object means: "error", or its "fill" value.
    values
        One number per row is wanted: an array of shape (n,) will do.
    as_stored
        No number means that one is missing: pictures are wanted, in which every value is a colour.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | zarr.Array[Any],
        array: str | None = None,
        *,
        missing_chunks: MissingChunks = "error",
        values: bool = False,
        as_stored: bool = False,
    ) -> None:
        if missing_chunks not in ("error", "fill"):
            raise InputError(f"{Word.MISSING_CHUNKS} is {missing_chunks!r}, it may be 'error' or 'fill'")
        self._missing_chunks, self._values, self._as_stored = missing_chunks, values, as_stored
        self._array: zarr.Array[Any] | None = None
        self._reopens = True
        if isinstance(source, zarr.Array):
            self.uri = address_of(source)
            document = document_of(source)
            zarr_codecs.check_document(document, self.uri, values)
            # A local store is reopened by path where it is needed; any other may hold options that its address does
            # not.
            self._reopens = isinstance(source.store, zarr.storage.LocalStore)
            opened = self._array = source
        else:
            base = locations.normalise(source)
            with locations.opening(base):
                self.uri, document = zarr_meta.find_array(base, array)
                if sparse := zarr_meta.sparse_of(document):
                    raise InputError(
                        f"{self.uri}: is a sparse {sparse.format} matrix of {sparse.shape[0]} x {sparse.shape[1]}, a "
                        "dense array is needed here: store X.toarray()"
                    )
                zarr_codecs.check_document(document, self.uri, values)
                opened = self._array = open_array(self.uri, document)
        self._bfloat16 = zarr_meta.is_bfloat16(document)
        self._document = without_attributes(document_of(opened))
        check_shape_and_dtype(opened.shape, opened.dtype, self.uri, values)
        self.n, self.d = opened.shape[0], math.prod(opened.shape[1:])
        self.row_shape = tuple(opened.shape[1:])
        self._stored = opened.dtype.newbyteorder("=")
        self._packing = self._packing_of(opened)
        self.dtype = self._stored if self._packing is None else self._packing.dtype
        self.chunk_rows = min(opened.chunks[0], self.n)
        self._chunks: tuple[int, ...] = tuple(opened.chunks)
        self._objects: tuple[int, ...] = tuple(opened.shards or opened.chunks)  # what one stored object covers
        self._fill = np.asarray(0 if opened.fill_value is None else opened.fill_value).astype(self._stored)

    def _packing_of(self, array: zarr.Array[Any]) -> Packing | None:
        """The packing by the attributes; pictures, which have no missing values, must have none."""
        folder, name = locations.parent_and_name(self.uri)
        beside = zarr_meta.read_document(folder) if self._reopens and name in ("codes", "values") and folder else None
        encoding = ((beside or {}).get("attributes") or {}).get("encoding-type", "")
        if str(encoding).startswith("nullable-"):
            raise InputError(
                f"{self.uri}: is part of a {encoding}, whose missing values are in the array 'mask' beside it: store "
                "it as floats with NaN instead"
            )
        attributes = array.attrs.asdict()
        named = isinstance(attributes.get("categories"), str)  # where anndata 0.7 put the names of codes
        packing = packing_of(
            attributes,
            self._stored,
            array.metadata.fill_value,
            zarr_format=array.metadata.zarr_format,
            bfloat16=self._bfloat16,
            categories=encoding == "categorical" or named,
            uri=self.uri,
        )
        filters = zarr_codecs.rescaling_filters(self._document)
        if filters and packing is not None and (packing.missing or packing.valid or packing.valid_values):
            raise InputError(
                f"{self.uri}: has missing values or valid limits beside the filter {', '.join(filters)}, which does "
                "not say whether they are meant before or after it: write it with NaN for what is missing"
            )
        if not self._as_stored or packing is None:
            return packing
        if packing.scale is None and packing.offset is None and packing.seen_as is None:
            return None
        raise InputError(f"{self.uri}: is packed ({packing.describe()}), pictures must not be: write it unpacked")

    @property
    def named(self) -> str:
        """The address, and how its numbers are unpacked."""
        return self.uri if self._packing is None else f"{self.uri} ({self._packing.describe()})"

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the open array, which the receiving process opens itself."""
        return self.__dict__ | ({"_array": None} if self._reopens else {})

    @property
    def shards(self) -> bool:
        """Whether several chunks share one stored object."""
        return self._objects != self._chunks

    def _opened(self) -> zarr.Array[Any]:
        if self._array is None:
            try:
                document = zarr_meta.read_document(self.uri)
                if document is None:
                    raise FileNotFoundError("its metadata has gone")
                zarr_codecs.check_document(document, self.uri, self._values)
                array = open_array(self.uri, document)
                packing = self._packing_of(array)
            except (InputError, OSError) as error:
                raise RunError(f"{self.uri}: could be opened when the run began, now not: {error}") from error
            if array.shape != (self.n, *self.row_shape) or array.dtype.newbyteorder("=") != self._stored:
                raise RunError(
                    f"{self.uri}: was {(self.n, *self.row_shape)} {self._stored} when the run began, now "
                    f"{array.shape} {array.dtype}: the source was rewritten; run again"
                )
            if packing != self._packing:
                raise RunError(f"{self.uri}: its attributes say something else than when the run began: run again")
            self._array = array
        return self._array

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop. InputError names a chunk that is missing, RunError one that cannot be decoded."""
        check_range(start, stop, self.n, self.uri)
        out = np.empty((stop - start, *self.row_shape), self._stored)
        if stop > start:
            self._opened()
            try:
                self._fetch(out, (slice(start, stop), *(slice(0, size) for size in self.row_shape)))
            except Exception:  # codecs and stores raise anything: find out which object it was
                self._fetch_one_by_one(out, start, stop)
            if self._missing_chunks == "error":
                self._check_missing(out, start, stop)
        if self.rounds and (self._packing is None or self._packing.scale is None):
            check_exact(out, self.uri, start, self.d)
        if self._packing is not None:
            out = self._packing.decode(out)
        return out.reshape(stop - start, self.d)

    def _fetch(self, out: NDArray[Any], region: Region) -> None:
        # Into our own buffer: native byte order and C order without a second copy, whatever is stored.
        self._opened().get_basic_selection(region, out=NDBuffer.from_numpy_array(out))

    def _fetch_one_by_one(self, out: NDArray[Any], start: int, stop: int) -> None:
        """Read each stored object by itself, after reading them together failed; raise for the one that fails."""
        for coordinates in covering(self._objects, start, stop, self.row_shape):
            region = region_of(coordinates, self._objects, start, stop, self.row_shape)
            try:
                self._fetch(out[shifted(region, start)], region)
            except Exception as error:
                what = f"{self.uri}: chunk {self._key(coordinates)} (rows {region[0].start}..{region[0].stop})"
                raise _unreadable(what, error) from error

    def _check_missing(self, out: NDArray[Any], start: int, stop: int) -> None:
        """Look up every chunk of which nothing but fill value came back. Costs one element per chunk otherwise."""
        covering = [axis_range(size, low, high) for size, low, high in self._axes(self._chunks, start, stop)]
        corners = [
            [max(index * size, low) - low for index in indices]
            for indices, (size, low, _) in zip(covering, self._axes(self._chunks, start, stop), strict=True)
        ]
        first = self._is_fill(out[np.ix_(*corners)])
        if not first.any():
            return
        present: dict[Coordinates, bytes | None] = {}
        for position in np.argwhere(first):
            chunk = tuple(indices[at] for indices, at in zip(covering, position, strict=True))
            region = region_of(chunk, self._chunks, start, stop, self.row_shape)
            block = out[shifted(region, start)]
            if self._is_fill(block[0]).all() and self._is_fill(block).all():
                self._verify(block, region, chunk, present)

    def _verify(
        self, block: NDArray[Any], region: Region, chunk: Coordinates, present: dict[Coordinates, bytes | None]
    ) -> None:
        """Accept a chunk of fill values only where it is stored as that; else read it again or raise.

        `present` remembers the stored objects that were looked up during this read, and their shard index.
        """
        size_and_chunk = zip(chunk, self._chunks, self._objects, strict=True)
        holder = tuple(index * size // whole for index, size, whole in size_and_chunk)
        shard_format = zarr_codecs.shard_index_format(self._document)
        if holder not in present:
            if not self._exists(holder):
                raise InputError(
                    f"{self.uri}: chunk {self._key(holder)} (rows {region[0].start}..{region[0].stop}) is missing: "
                    f"restore it, or set {Word.MISSING_CHUNKS:fill} if its rows are meant to be "
                    f"{self._fill.item()}"
                )
            present[holder] = self._shard_index(holder, shard_format) if shard_format else None
        index = present[holder]
        if shard_format and index is not None:
            inner = tuple(i % n for i, n in zip(chunk, shard_format.chunks_per_shard, strict=True))
            end = shard_format.end_of(index, inner)
            if end is None:  # left out when the shard was written, as zarr does with chunks of fill values
                return
            if end > (found := self._nbytes(holder)):
                raise RunError(
                    f"{self.uri}: chunk {self._key(holder)} is truncated: its index needs {end} bytes, it has {found}: "
                    "restore it or write the array again"
                )
        again = np.empty_like(block)
        try:
            self._fetch(again, region)
        except Exception as error:
            raise _unreadable(f"{self.uri}: chunk {self._key(holder)}", error) from error
        block[...] = again  # a chunk really stored as fill values, or one whose first request failed in passing

    def _is_fill(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        if self._fill.dtype.kind == "f" and np.isnan(self._fill):
            return cast(NDArray[np.bool_], np.isnan(values))
        return cast(NDArray[np.bool_], values == self._fill)

    def _axes(self, sizes: tuple[int, ...], start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        return zip(sizes, (start, *(0 for _ in self.row_shape)), (stop, *self.row_shape), strict=True)

    def _key(self, coordinates: Coordinates) -> str:
        return self._opened().metadata.encode_chunk_key(coordinates)

    def _stored_key(self, coordinates: Coordinates) -> str:
        path = self._opened().path
        return f"{path}/{self._key(coordinates)}" if path else self._key(coordinates)

    def _exists(self, coordinates: Coordinates) -> bool:
        return sync(self._opened().store.exists(self._stored_key(coordinates)))

    def _nbytes(self, coordinates: Coordinates) -> int:
        return sync(self._opened().store.getsize(self._stored_key(coordinates)))

    def _shard_index(self, coordinates: Coordinates, form: zarr_codecs.ShardIndexFormat) -> bytes | None:
        if not form.understood:
            return None
        from zarr.abc.store import RangeByteRequest, SuffixByteRequest

        where = SuffixByteRequest(form.nbytes) if form.at_end else RangeByteRequest(0, form.nbytes)
        key, prototype = self._stored_key(coordinates), default_buffer_prototype()
        found = sync(self._opened().store.get(key, prototype, byte_range=where))
        data = found.to_bytes() if found is not None else b""
        return data if len(data) == form.nbytes else None

    def fingerprint(self) -> str:
        """sha256 of the metadata and of the listing; of the content where an open store has no versions to list.

        Chunks under keys that this array does not use are no part of it: those of a successor in the making.
        """
        described = json.dumps(self._document, sort_keys=True, default=str)
        if self._packing is not None:
            described += repr(self._packing)
        if self._reopens:
            with locations.opening(self.uri):
                listed = locations.list_objects(self.uri)
        else:
            array = self._opened()
            listed = list_contents(array)
        own = slot_of(self._document) if self._document.get("zarr_format") == 3 else 2
        return locations.digest(described, [found for found in listed if key_slot(found.key) in (None, own)])


def _unreadable(what: str, error: Exception) -> Exception:
    """The error for a chunk that could not be read; after a fault of S3 or the disk there is nothing to restore."""
    if (fault := fault_of(error)) is not None:
        return fault.error(f"{what} cannot be read")
    return RunError(
        f"{what} cannot be read ({type(error).__name__}: {error}): restore that object or write the array again"
    )
