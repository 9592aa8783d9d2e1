"""Objects that are replaced only if unchanged since they were read: on S3 by If-Match, elsewhere by renaming.

A reply may be lost after the server did what was asked, so after any error the object is read back: if it holds our
bytes, it was us. What is written must therefore differ between writers.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from landmark_ops.errors import RunError
from landmark_ops.stores.faults import code_of, said
from landmark_ops.stores.locations import filesystem, read_bytes, stat, write_bytes

UNMET = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")  # codes of S3


class Seen(NamedTuple):
    """An object as it was found."""

    content: bytes
    version: str  # its ETag on S3, read before the content: never newer than it


def see(uri: str) -> Seen | None:
    """The object as it is now; None where nothing is there. Other failures are raised: unknown is not absent."""
    try:
        return Seen(version=stat(uri).version, content=read_bytes(uri))
    except FileNotFoundError:
        return None


def replace(uri: str, data: bytes, seen: Seen | None) -> bool:
    """Write `data` if the object still is as it was `seen` (None: still absent); returns whether that was so.

    Readers see the old bytes or the new ones. Raises RunError where the write fails and the object is unchanged.
    """
    if not uri.startswith("s3://"):
        return _compare_and_write(uri, data, seen)
    fs, path = filesystem(uri)
    conditions = [{"IfNoneMatch": "*"}]
    if seen is not None:  # Ceph's RGW 16 knows an ETag by its bare digits alone, where the standard wants quotes
        conditions = [{"IfMatch": f'"{seen.version}"'}, {"IfMatch": seen.version}]
    for condition in conditions:
        try:
            fs.pipe_file(path, data, **condition)
        except Exception as error:  # servers report a lost race in many ways, and a reply may be lost
            now = see(uri)
            if now is not None and now.content == data:
                return True
            if isinstance(error, OSError) and error.errno == errno.ENOSYS:  # a server without conditional writes
                return _compare_and_write(uri, data, seen)
            if now != seen:
                return False
            if code_of(error) not in UNMET:
                with said(f"{uri}: cannot be written"):
                    raise
        else:
            return True
    raise RunError(
        f"{uri}: cannot be written: the server says that it has changed, which it has not: run again, or put the "
        "output where conditional writes (If-Match, If-None-Match) work"
    )


def _compare_and_write(uri: str, data: bytes, seen: Seen | None) -> bool:
    now = see(uri)
    if (now and now.content) != (seen and seen.content):
        return False
    write_bytes(uri, data)
    now = see(uri)  # two may have written at once: the later one wins, the other one finds out here
    return now is not None and now.content == data
