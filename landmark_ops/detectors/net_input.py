"""Pictures of a network's input size as the numbers that it takes: channels in order, (x - mean) / std, axes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.spec import InputSpec, ModelSpec
from landmark_ops.errors import InputError


def prepare(images: NDArray[np.uint8], spec: ModelSpec) -> NDArray[np.float32] | NDArray[np.uint8]:
    """Images (n, h, w, 3) RGB uint8 as the network's input: colour order, (x - mean) / std, axes.

    Returns (n, 3, h, w) or (n, h, w, 3), C-contiguous, h and w exchanged where the spec says `transpose_xy`.
    Raises InputError where shape or dtype are not what the spec asks for.
    """
    want = spec.input
    _check_images(images, spec)
    if want.transpose_xy:
        images = images.swapaxes(1, 2)
    if want.dtype == "uint8":
        coloured = images[..., ::-1] if want.colour == "BGR" else images
        return np.ascontiguousarray(coloured.transpose(0, 3, 1, 2) if want.layout == "NCHW" else coloured)
    return _planes(images, want) if want.layout == "NCHW" else _pixels(images, want)


def _planes(images: NDArray[np.uint8], want: InputSpec) -> NDArray[np.float32]:
    """(n, h, w, 3) RGB as (n, 3, h, w), (x - mean) / std, planes in the order of the net's colours."""
    n, height, width, _ = images.shape
    batch = np.empty((n, 3, height, width), np.float32)
    for image, planes in zip(images, batch, strict=True):
        stored = cv2.split(image)  # every third byte at a time takes NumPy three times as long
        for plane, values, mean, std in zip(
            planes, stored[::-1] if want.colour == "BGR" else stored, want.mean, want.std, strict=True
        ):
            if mean == 0:
                plane[...] = values
            else:
                np.subtract(values, np.float32(mean), out=plane, dtype=np.float32)
            if std != 1:
                np.divide(plane, np.float32(std), out=plane)
    return batch


def _pixels(images: NDArray[np.uint8], want: InputSpec) -> NDArray[np.float32]:
    """(n, h, w, 3) RGB as the same of float32, (x - mean) / std, channels in the order of the net's colours."""
    # One number for all three where they agree: NumPy is ten times as fast without a second axis of length 3.
    mean, std = (np.asarray(three[0] if len(set(three)) == 1 else three, np.float32) for three in (want.mean, want.std))
    batch = np.subtract(images[..., ::-1] if want.colour == "BGR" else images, mean, dtype=np.float32, order="C")
    if (std != 1).any():
        np.divide(batch, std, out=batch)
    return batch


def _check_images(images: NDArray[np.uint8], spec: ModelSpec) -> None:
    want = spec.input
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise InputError(
            f"model {spec.name}: images of shape {images.shape} and type {images.dtype}: give (n, h, w, 3) RGB uint8"
        )
    height, width = images.shape[1:3]
    if want.width is not None and (width, height) != (want.width, want.height):
        raise InputError(
            f"model {spec.name}: images of {width} x {height} px: the network takes {want.width} x {want.height}"
        )
    if width % want.multiple or height % want.multiple or not (width and height):
        raise InputError(
            f"model {spec.name}: images of {width} x {height} px: sides must be multiples of {want.multiple}"
        )
