"""The folder where fetched models are kept: a file appears in it whole or not at all, fetched by one at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from landmark_ops.errors import RunError
from landmark_ops.stores.file_lock import lock_file
from landmark_ops.stores.whole_files import replace_file

CACHE_VARIABLE = "LANDMARKS_MODEL_CACHE"


def cache_folder() -> Path:
    """Where fetched models are kept."""
    if named := os.environ.get(CACHE_VARIABLE, "").strip():
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache"
    return Path(base).expanduser() / "landmark-ops" / "models"


def store(target: Path, data: bytes) -> None:
    """Store a file, whole or not at all, also after a loss of power."""
    with _writing(target.parent):
        replace_file(target, data, lasting=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for the file lock at `path`. The file stays: removing it would let two holders in."""
    with _writing(path.parent):
        file = lock_file(path, wait=True)
    with file:
        yield


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"the model cache {folder} cannot be written: {error.strerror or error}: "
            f"set {CACHE_VARIABLE} to a folder that can"
        ) from error
