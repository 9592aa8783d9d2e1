"""A lock on a local file: advisory, dropped by the kernel with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO


class FileHeldError(Exception):
    """Another process holds the lock; `content`: what the file says."""

    def __init__(self, content: str) -> None:
        super().__init__(content)
        self.content = content


def lock_file(path: Path, *, wait: bool) -> TextIO:
    """The open file at `path`, made if need be, whose lock is held until it is closed.

    Where another process holds it, `wait` for that one or raise FileHeldError. Raises OSError where no such file can
    be made. A holder may remove the file before it closes it: who waited then locks the next one.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  held by the caller
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is_at(path, file):
                return file
        except BlockingIOError:
            file.seek(0)
            content = file.read()
            file.close()
            raise FileHeldError(content) from None
        except BaseException:
            file.close()
            raise
        file.close()


def _is_at(path: Path, file: TextIO) -> bool:
    """Whether this open file is the one at `path`: its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
