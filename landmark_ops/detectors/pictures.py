"""Open the pictures that a notebook passes: paths, bytes, arrays, pictures of Pillow.

A picture that cannot be read fails alone; a value that is no picture at all is a mistake of the caller.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pillow

from landmark_ops.errors import InputError
from landmark_ops.images import reasons
from landmark_ops.images.decode import decode
from landmark_ops.images.pillow_pictures import from_pillow
from landmark_ops.images.reasons import DecodeFailure
from landmark_ops.stores import locations

Picture = str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[np.uint8] | pillow.Image
_KINDS = (str, os.PathLike, bytes, bytearray, memoryview, pillow.Image)
_WANTED = "a path, bytes, an (H, W, 3) RGB uint8 array or a Pillow picture"


def as_list(images: Any) -> tuple[list[Picture], bool]:
    """The pictures, and whether one alone was given. Raises InputError for what is neither one nor several."""
    if isinstance(images, np.ndarray):
        if images.ndim not in (2, 3, 4):
            raise InputError(f"an array of shape {images.shape}: give (H, W, 3) or (n, H, W, 3) RGB uint8")
        return (list(images), False) if images.ndim == 4 else ([images], True)
    if isinstance(images, _KINDS):
        return [images], True
    if images is None or isinstance(images, dict) or not isinstance(images, Iterable):
        hint = ": cv2.imread gives None for a file that it cannot read" if images is None else ""
        raise InputError(f"images is {type(images).__name__}, needed is {_WANTED}, or a list of them{hint}")
    return list(images), False


def name_of(picture: Picture, index: int) -> str:
    """How a picture is called in messages."""
    return os.fspath(picture) if isinstance(picture, str | os.PathLike) else f"picture {index}"


def open_picture(picture: Any, index: int) -> NDArray[np.uint8]:
    """A picture as (H, W, 3) RGB uint8; arrays come back as they are, for the pipeline to check.

    Raises DecodeFailure for one that cannot be read, InputError for what is no picture at all.
    """
    if isinstance(picture, np.ndarray):
        return picture
    if isinstance(picture, pillow.Image):
        return from_pillow(picture)
    if isinstance(picture, bytes | bytearray | memoryview):
        return decode(bytes(picture)).image
    if isinstance(picture, str | os.PathLike):
        return decode(_bytes_at(os.fspath(picture))).image
    if picture is None:
        raise DecodeFailure(reasons.NOT_AN_IMAGE, "None, which cv2.imread gives for a file that it cannot read")
    raise InputError(f"picture {index} is {type(picture).__name__}, needed is {_WANTED}")


def _bytes_at(path: str) -> bytes:
    scheme, there, _ = path.partition("://")
    if there and scheme not in ("s3", "file"):
        raise InputError(f"{path}: {scheme} addresses are not read: download the picture, or give its bytes")
    address = locations.normalise(path)
    if locations.is_folder(address):
        raise InputError(f"{path}: is a folder: give its files as a list, or run `landmarks detect` on it")
    try:
        with locations.opening(address):
            return locations.read_bytes(address)
    except (InputError, OSError) as error:
        glob = ": names with * are not expanded, use glob.glob" if "*" in path else ""
        raise DecodeFailure(reasons.MISSING, f"cannot be read ({_why(error)}){glob}") from error


def _why(error: Exception) -> str:
    cause = error.__cause__ or error
    return getattr(cause, "strerror", None) or type(cause).__name__
