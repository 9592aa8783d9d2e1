"""Local files that appear whole or not at all: written under a hidden name in the same folder, then renamed or linked.

The files of outputs, marks, reports and fetched models are all written here; `locations` does the same on S3.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace_file(target: Path, data: bytes, *, lasting: bool = False) -> None:
    """Write a file in place of what is there; readers see the old bytes or the new ones, never a part.

    lasting: survives a loss of power, at the price of a flush to the disk. Raises OSError where it cannot be written;
    what was there stays.
    """
    with written_beside(target, data, lasting=lasting) as partial:
        os.replace(partial, target)


@contextmanager
def written_beside(target: Path, data: bytes, *, lasting: bool) -> Iterator[Path]:
    """A file with `data` in the folder of `target`, which is made if need be; gone afterwards unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("xb") as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        yield partial
    finally:
        partial.unlink(missing_ok=True)
