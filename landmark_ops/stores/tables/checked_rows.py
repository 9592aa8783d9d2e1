"""A table of ours for reading, every page checked against the checksum it was written with.

Parquet stores a CRC of each page, and readers ignore it unless told: a flipped bit then reads as another number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from landmark_ops.errors import RunError
from landmark_ops.stores import locations
from landmark_ops.stores.faults import storage_failed


class CheckedRows:
    """The methods of a pyarrow dataset that we use. Reading raises `RunError` where the stored bytes have changed."""

    def __init__(self, uri: str, dataset: ds.Dataset) -> None:
        self._uri = uri
        self._dataset = _checking(dataset) if isinstance(dataset, ds.FileSystemDataset) else dataset

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self._dataset.schema

    def to_table(self, **options: Any) -> pa.Table:
        """Rows and columns as `pyarrow.dataset.Dataset.to_table` takes them."""
        with _damage(self._uri):
            return self._dataset.to_table(**options)

    def to_batches(self, **options: Any) -> Iterator[pa.RecordBatch]:
        """The same in parts."""
        with _damage(self._uri):
            yield from self._dataset.to_batches(**options)

    def head(self, count: int, **options: Any) -> pa.Table:
        """The first rows."""
        with _damage(self._uri):
            return self._dataset.head(count, **options)

    def count_rows(self, **options: Any) -> int:
        """How many rows match `filter`."""
        with _damage(self._uri):
            return int(self._dataset.count_rows(**options))


def read_file(uri: str) -> pa.Table:
    """One Parquet file of ours. Raises `RunError` as above."""
    with _damage(uri):
        data = pa.BufferReader(locations.read_bytes(uri))
        return pq.ParquetFile(data, page_checksum_verification=True).read()


def _checking(dataset: ds.FileSystemDataset) -> ds.FileSystemDataset:
    options = ds.ParquetFragmentScanOptions(pre_buffer=True, page_checksum_verification=True)
    form = ds.ParquetFileFormat(default_fragment_scan_options=options)
    fragments = [
        form.make_fragment(fragment.path, fragment.filesystem, fragment.partition_expression)
        for fragment in dataset.get_fragments()
    ]
    return ds.FileSystemDataset(fragments, dataset.schema, form, dataset.filesystem)


@contextmanager
def _damage(uri: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        text = str(error)
        if "checksum" not in text.lower() and storage_failed(error):
            raise
        what = "fail their checksum" if "checksum" in text.lower() else f"cannot be decoded ({type(error).__name__})"
        raise RunError(
            f"{uri}: stored rows {what}: the table is damaged, restore its files from a copy, or detect into another "
            "output.uri"
        ) from error
