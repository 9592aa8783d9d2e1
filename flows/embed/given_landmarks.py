"""The user's own landmarks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from flows.embed.earlier import Earlier
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.errors import InputError
from landmark_ops.stores.sources.rows import check_shape_and_dtype


def read_given(config: EmbedConfig) -> NDArray[Any] | None:
    """The user's own landmarks: row numbers (m,) or points (m, d)."""
    landmarks = config.landmarks
    if landmarks.indices is not None:
        return np.asarray(landmarks.indices, np.int64)
    if landmarks.points is None:
        return None
    try:
        with open(Path(landmarks.points).expanduser(), "rb") as file:  # which np.load leaves open where it fails
            array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:  # the last two: of an empty file, of half an archive
        raise InputError(f"landmarks.points {landmarks.points}: cannot be read as .npy: {error}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"landmarks.points {landmarks.points}: is an archive of arrays (.npz): save one as .npy")
    if array.ndim not in (1, 2) or (array.ndim == 1 and array.dtype.kind not in "iu"):
        raise InputError(
            f"landmarks.points {landmarks.points}: shape {array.shape} of {array.dtype}, needs points (m, d) or "
            "integer row numbers (m,)"
        )
    if array.ndim == 2:
        check_shape_and_dtype(array.shape, array.dtype, f"landmarks.points {landmarks.points}")
    return np.asarray(array)


def hash_given(given: NDArray[Any] | None, earlier: Earlier | None) -> str | None:
    """Hex digest of the user's own landmarks, or of the map they are added to: files change while names stay."""
    if given is None:
        return None if earlier is None else earlier.sha256
    return hashlib.sha256(
        f"{given.dtype.str}{given.shape}".encode() + np.ascontiguousarray(given).tobytes()
    ).hexdigest()
