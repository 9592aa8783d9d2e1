"""Opens a Parquet file, local or remote, with its checksums compared."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from landmark_ops.errors import RunError
from landmark_ops.stores import locations

BUFFER_BYTES = 8 * 2**20


def open_parquet(uri: str) -> pq.ParquetFile:
    """The file, read in pieces of `BUFFER_BYTES`. RunError where it has gone or cannot be read now."""
    source: Any = uri
    if locations.is_remote(uri):
        source = pa.PythonFile(_Remote(uri), mode="r")
    elif not locations.is_file(uri):
        raise RunError(f"{uri}: has gone since the source was listed: run again")
    return pq.ParquetFile(source, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)


class _Remote:
    """A remote file whose read errors are `RunError`, so that a failing network is not taken for a damaged file."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._file = locations.open_binary(uri)
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except Exception as error:  # S3 clients raise anything
            raise RunError(f"{self._uri}: cannot be read now ({error}): run again") from error

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        self.closed = True
