"""Objects that are created once: the first writer decides, and all others read what it wrote.

Local files appear by a hard link, S3 objects by a conditional PUT; both are atomic and refuse a second one. A reply to
the PUT may be lost, so after any error the object is read back: if it holds our bytes, it was us.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from landmark_ops.stores.locations import filesystem, is_remote, read_bytes
from landmark_ops.stores.whole_files import written_beside

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


def claim(uri: str, data: bytes) -> bytes:
    """Create `uri` with `data` unless it exists; returns what it holds now.

    `data` must differ between claimants. Raises FileNotFoundError where another's object was removed meanwhile.
    """
    if is_remote(uri):
        fs, path = filesystem(uri)
        try:
            fs.pipe_file(path, data, mode="create")
        except Exception as error:  # servers report a lost race in many ways, and a reply may be lost
            return _read_back(uri, error)
        return data
    return data if _create_local(Path(uri), data) else read_bytes(uri)


def _read_back(uri: str, error: Exception) -> bytes:
    try:
        return read_bytes(uri)
    except FileNotFoundError:
        if isinstance(error, FileExistsError):
            raise
        raise error from None


def _create_local(target: Path, data: bytes) -> bool:
    with written_beside(target, data, lasting=True) as partial:
        try:
            os.link(partial, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _create_without_links(target, data)
        return True


def _create_without_links(target: Path, data: bytes) -> bool:
    """On file systems without hard links: exclusive, but a crash in here leaves a part, which readers must expect."""
    try:
        with open(target, "xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True
