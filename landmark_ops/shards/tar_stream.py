"""A tar archive read once from front to back, from anywhere, with nothing written and nothing trusted.

`tarfile` reads extended headers of any size into memory and takes a lone zero block for the end; here headers are
bounded, archives set one after another are read to the last, and cut-off archives are told apart from garbled ones.
Only plain files hand out their bytes: links, devices and sparse files are entries without content. Compression is known
by its first bytes: gzip, bzip2, xz, zstd.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from landmark_ops.errors import RunError
from landmark_ops.stores import locations

BLOCK = 512
MAX_HEADER_BYTES = 2**20  # of one extended header: names are shorter
READ_BYTES = 8 * 2**20  # per request to a remote object
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_NO_DATA = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
_KINDS = {
    tarfile.LNKTYPE: "hard link",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "named pipe",
    tarfile.DIRTYPE: "folder",
    tarfile.GNUTYPE_SPARSE: "sparse file",
}


class TarTruncatedError(Exception):
    """The archive ends too early."""


class TarDamagedError(Exception):
    """Something in the archive is no tar header, or no valid compressed data."""


class TarTooLargeError(Exception):
    """The archive grows beyond its limit when decompressed."""


class Entry(NamedTuple):
    """A member: `kind` is "file", or what else it is. Its bytes are to be read before the next entry is asked for."""

    name: str
    kind: str
    size: int


class TarStream:
    """The entries of the archive at `uri`; more than `max_bytes` after decompression raise `TarTooLargeError`."""

    def __init__(self, uri: str, max_bytes: int) -> None:
        self._raw = _Source(uri)
        start = self._raw.read(6)
        self._raw.seek(0)
        self._plain = False
        self._stream = self._decompressed(start)
        self._left = max_bytes
        self._unread = 0  # bytes of the current entry, padding included

    def close(self) -> None:
        """Close the archive."""
        self._raw.close()

    def read(self, size: int) -> bytes:
        """The next `size` bytes of the current entry."""
        self._unread -= size
        return self._exactly(size)

    def __iter__(self) -> Iterator[Entry]:
        pax: dict[str, str] = {}
        long_name: str | None = None
        ended = False
        while True:
            self._skip(self._unread)
            self._unread = 0
            block = self._take(BLOCK)
            if not block and not ended:
                raise TarTruncatedError("it ends without an end-of-archive mark")
            if not block:
                return
            if len(block) < BLOCK:
                raise TarTruncatedError("it ends within a header")
            if not block.strip(b"\0"):
                ended = True
                continue
            ended = False
            header = _parse(block)
            if header.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE):
                records = _pax_records(self._header_body(header.size))
                pax = {} if header.type == tarfile.XGLTYPE else records
            elif header.type == tarfile.GNUTYPE_LONGNAME:
                long_name = _text(self._header_body(header.size).split(b"\0", 1)[0])
            elif header.type == tarfile.GNUTYPE_LONGLINK:
                self._header_body(header.size)
            else:
                yield self._entry(header, block, pax, long_name)
                pax, long_name = {}, None

    def _entry(self, header: tarfile.TarInfo, block: bytes, pax: dict[str, str], long_name: str | None) -> Entry:
        size = header.size
        if "size" in pax:
            if not pax["size"].isascii() or not pax["size"].isdigit():
                raise TarDamagedError("an extended header gives a size that is no number")
            size = int(pax["size"])
        sparse = header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in pax)
        if header.type == tarfile.GNUTYPE_SPARSE:
            extended = block[482]
            while extended:
                extended = self._exactly(BLOCK)[504]
        self._unread = 0 if header.type in _NO_DATA else -(-size // BLOCK) * BLOCK
        name = pax.get("GNU.sparse.name") or pax.get("path") or long_name or header.name
        if sparse:
            return Entry(name, "sparse file", size)
        if header.type in _FILES:
            return Entry(name, "file", size)
        return Entry(name, _KINDS.get(header.type, f"entry of type {header.type!r}"), size)

    def _header_body(self, size: int) -> bytes:
        if size > MAX_HEADER_BYTES:
            raise TarDamagedError(f"an extended header of {size} bytes, the limit is {MAX_HEADER_BYTES}")
        return self._exactly(-(-size // BLOCK) * BLOCK)[:size]

    def _exactly(self, size: int) -> bytes:
        data = self._take(size)
        if len(data) < size:
            raise TarTruncatedError("it ends within a member")
        return data

    def _take(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end."""
        parts: list[bytes] = []
        wanted = size
        while wanted:
            with _decoding():
                part = self._stream.read(min(wanted, READ_BYTES))
            if not part:
                break
            self._left -= len(part)
            if self._left < 0:
                raise TarTooLargeError
            parts.append(part)
            wanted -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _skip(self, size: int) -> None:
        if self._plain and size > READ_BYTES:
            self._left -= size
            if self._left < 0:
                raise TarTruncatedError("it ends within a member")
            self._raw.seek(size - 1, io.SEEK_CUR)
            size = 1
        while size:
            part = min(size, READ_BYTES)
            self._exactly(part)
            size -= part

    def _decompressed(self, start: bytes) -> Any:
        if start.startswith(b"\x1f\x8b"):
            return gzip.GzipFile(fileobj=self._raw)
        if start.startswith(b"BZh"):
            return bz2.BZ2File(self._raw)
        if start.startswith(b"\xfd7zXZ\0"):
            return lzma.LZMAFile(io.BufferedReader(self._raw))
        if start.startswith(b"\x28\xb5\x2f\xfd"):
            import pyarrow as pa

            return pa.CompressedInputStream(pa.PythonFile(self._raw, mode="r"), "zstd")
        self._plain = True
        return self._raw


@contextmanager
def _decoding() -> Iterator[None]:
    """Turn decompressors' errors into our two types; a source that cannot be read has raised `RunError` before."""
    try:
        yield
    except EOFError as error:
        raise TarTruncatedError("its compressed data ends too early") from error
    except (OSError, zlib.error, lzma.LZMAError) as error:
        if "truncated" in str(error).lower():
            raise TarTruncatedError("its compressed data ends too early") from error
        raise TarDamagedError(f"its compressed data is damaged ({error})") from error


def _parse(block: bytes) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError as error:
        raise TarDamagedError(f"what should be a header is none ({error})") from error
    if header.size < 0:
        raise TarDamagedError("a header gives a size below 0")
    return header


def _pax_records(body: bytes) -> dict[str, str]:
    records: dict[str, str] = {}
    at = 0
    while at < len(body) and body[at : at + 1] != b"\0":
        length, space, _ = body[at : at + 20].partition(b" ")
        if not space or not length.isdigit() or int(length) < 5 or at + int(length) > len(body):
            raise TarDamagedError("an extended header is garbled")
        key, equals, value = body[at + len(length) + 1 : at + int(length)].removesuffix(b"\n").partition(b"=")
        if not equals:
            raise TarDamagedError("an extended header is garbled")
        records[_text(key)] = _text(value)
        at += int(length)
    return records


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


class _Source(io.RawIOBase):
    """A file or object whose read errors are `RunError`, so that no decompressor takes them for damaged data."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        with locations.opening(uri):
            file: Any = locations.open_binary(uri)
        self._file: BinaryIO = io.BufferedReader(file, READ_BYTES) if locations.is_remote(uri) else file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except Exception as error:  # S3 clients raise anything
            raise RunError(f"{self._uri}: cannot be read now ({error}): run again") from error

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
