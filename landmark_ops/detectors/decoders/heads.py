"""Checks of a net's outputs before decoding: their number, shapes, and that probabilities are probabilities.

A net whose outputs are listed in another order, or exported without its sigmoid, would otherwise be decoded into
nonsense.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.decoders.activations import EDGE
from landmark_ops.detectors.instances import Floats, Outputs
from landmark_ops.errors import InputError

#: How far beyond 0..1 rounding takes a probability: float16 rounds to 0.0005.
ROUNDING = 0.01


def heads(outputs: Outputs, *names: str) -> list[NDArray[np.generic]]:
    """As many outputs as there are names, the first of those given. InputError where they are fewer."""
    if len(outputs) < len(names):
        raise InputError(
            f"the spec lists {len(outputs)} outputs, its decoder needs {len(names)}: {', '.join(names)}, in this order"
        )
    return [np.asarray(output) for output in outputs[: len(names)]]


def shaped(head: NDArray[np.generic], name: str, *dims: int | None) -> NDArray[np.generic]:
    """The output, of dims (n, *dims), None for any size. InputError for another shape."""
    if head.ndim != len(dims) + 1 or any(
        want not in (None, got) for want, got in zip(dims, head.shape[1:], strict=True)
    ):
        wanted = ", ".join("any" if dim is None else str(dim) for dim in dims)
        raise InputError(
            f"the net's {name} has shape {head.shape}, its decoder needs (n, {wanted}): list the outputs in the "
            "decoder's order, and check that it is the decoder of this net"
        )
    return head


def flat(head: NDArray[np.generic], name: str, width: int) -> NDArray[np.float64]:
    """The output as (n, width) float64, however its axes are laid out. InputError for another number of values."""
    if head.ndim == 0 or head.size != len(head) * width:
        raise InputError(
            f"the net's {name} has shape {head.shape}, its decoder needs {width} values per crop: list the outputs in "
            "the decoder's order, and check that it is the decoder of this net"
        )
    return head.astype(np.float64).reshape(len(head), width)


def crop_points(landmarks: NDArray[np.generic], name: str, n_keypoints: int) -> Floats:
    """Points (n, 3K) as x, y, z in input pixels from the edges, as MediaPipe's nets give them: (n, K, 3)."""
    keypoints = flat(landmarks, name, 3 * n_keypoints).reshape(-1, n_keypoints, 3)
    keypoints[..., :2] += EDGE
    return keypoints


def probabilities(values: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    """The values themselves. InputError where they leave 0..1 by more than rounding: they are logits."""
    if values.size and not (values.min() >= -ROUNDING and values.max() <= 1 + ROUNDING):
        raise InputError(
            f"the net's {name} holds values from {float(values.min()):.3g} to {float(values.max()):.3g}, its decoder "
            "needs probabilities from 0 to 1: export the net with its sigmoid or softmax"
        )
    return values


def logits(values: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    """The values of many anchors. InputError where all lie in 0..1: of true logits, those of the background do not."""
    if values.size > 100 and values.min() >= 0 and values.max() <= 1:
        raise InputError(
            f"the net's {name} holds values from {float(values.min()):.3g} to {float(values.max()):.3g}, its decoder "
            "needs logits: export the net without its sigmoid"
        )
    return values
