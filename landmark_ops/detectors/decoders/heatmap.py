"""Heatmap heads, one map per point, for nets a user brings: four ways from a map to a sub-pixel point.

argmax   the highest cell, moved a quarter cell towards its higher neighbour. Newell et al. 2016.
dark     a Newton step on the logarithm of the blurred map. Zhang et al. 2020, arXiv:1910.06278.
udp      the same with differences of one cell, on a grid whose outer cells lie on the input's edges. Huang et al. 2020,
         arXiv:1911.07524.
soft     the mean of the cells under softmax(beta · map).

The first two follow MMPose's codecs: cell i lies at pixel i · input / map.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.decoder import DECODERS, Locator
from landmark_ops.detectors.decoders.activations import softmax
from landmark_ops.detectors.decoders.domains import COUNT, LOCATES, POSITIVE, Domain
from landmark_ops.detectors.decoders.heads import heads
from landmark_ops.detectors.decoders.parameters import choice, number
from landmark_ops.detectors.instances import Floats, Outputs, Parameters, Points, Size, unknown
from landmark_ops.errors import InputError


def decode_heatmap(outputs: Outputs, size: Size, parameters: Parameters) -> Points:
    """The points of each crop: one output (n, K, rows, columns).

    parameters: method, one of argmax (default), dark, udp, soft; blur, the odd width of the Gaussian of dark and udp
    (11); beta of soft (1). A point's score is its map's maximum (soft: the softmax's); where that is not above 0 the
    point is NaN.

    Raises InputError for maps of another number of axes, or of other sides than the input has.
    """
    maps = heads(outputs, "heatmap")[0].astype(np.float64)
    if maps.ndim != 4:
        raise InputError(f"the net's heatmap has shape {maps.shape}: decoder heatmap needs (n, K, rows, columns)")
    method = choice(parameters, "method", tuple(_METHODS), "argmax")
    rows, columns = maps.shape[2:]
    if abs(columns - rows * size[0] / size[1]) > 1:
        raise InputError(
            f"the net's heatmap has {rows} rows and {columns} columns for an input of {size[0]} x {size[1]} px: "
            "decoder heatmap needs maps of the input's shape, (n, K, rows, columns): export it with the points first"
        )
    if method == "soft":
        flat = number(parameters, "beta", 1.0) * maps.reshape(*maps.shape[:2], -1)
        maps = softmax(flat).reshape(maps.shape)
    cells = _METHODS[method](maps, parameters)
    spans = (columns - 1, rows - 1) if method == "udp" else (columns, rows)
    scores = maps.max(axis=(2, 3))
    keypoints = unknown(*maps.shape[:2], 3)
    keypoints[..., :2] = np.where(scores[..., None] > 0, cells / spans * size, np.nan)
    return Points(keypoints, scores, unknown(*scores.shape), unknown(len(maps)), {})


def highest(maps: Floats) -> NDArray[np.intp]:
    """(n, K, 2) column and row of each map's maximum, the first where there are several."""
    best = maps.reshape(*maps.shape[:2], -1).argmax(axis=2)
    return np.stack([best % maps.shape[3], best // maps.shape[3]], axis=-1)


def _argmax(maps: Floats, parameters: Parameters) -> Floats:
    cells = highest(maps)
    moved = cells.astype(np.float64)
    rows, columns = maps.shape[2:]
    for i, k in np.ndindex(maps.shape[:2]):
        x, y = cells[i, k]
        if 1 < x < columns - 1 and 1 < y < rows - 1:
            across, down = maps[i, k, y, x + 1] - maps[i, k, y, x - 1], maps[i, k, y + 1, x] - maps[i, k, y - 1, x]
            moved[i, k] += 0.25 * np.sign([across, down])
    return moved


def _dark(maps: Floats, parameters: Parameters) -> Floats:
    logs = np.log(np.maximum(blur(maps, int(number(parameters, "blur", 11))), 1e-10))
    cells = highest(maps)
    moved = cells.astype(np.float64)
    rows, columns = maps.shape[2:]
    for i, k in np.ndindex(maps.shape[:2]):
        x, y = cells[i, k]
        if 1 < x < columns - 2 and 1 < y < rows - 2:
            moved[i, k] += _newton(logs[i, k, y - 2 : y + 3, x - 2 : x + 3], reach=2)
    return moved


def _udp(maps: Floats, parameters: Parameters) -> Floats:
    logs = np.log(np.clip(blur(maps, int(number(parameters, "blur", 11))), 1e-3, 50))
    padded = np.pad(logs, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    cells = highest(maps)
    moved = cells.astype(np.float64)
    for i, k in np.ndindex(maps.shape[:2]):
        x, y = cells[i, k]
        moved[i, k] += _newton(padded[i, k, y : y + 5, x : x + 5], reach=1)
    return moved


def _mean(shares: Floats, parameters: Parameters) -> Floats:
    rows, columns = shares.shape[2:]
    return np.stack([shares.sum(axis=2) @ np.arange(columns), shares.sum(axis=3) @ np.arange(rows)], axis=-1)


_METHODS: dict[str, Callable[[Floats, Parameters], Floats]] = {
    "argmax": _argmax,
    "dark": _dark,
    "udp": _udp,
    "soft": _mean,
}


def _newton(window: Floats, reach: int) -> Floats:
    """-H⁻¹g amid a 5 × 5 window of a log map, second differences over ±reach cells; 0 where H is singular."""
    near, far = window[1:4, 1:4], window[2 - reach : 3 + reach : reach, 2 - reach : 3 + reach : reach]
    gradient = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
    curve_x = (far[1, 2] - 2 * far[1, 1] + far[1, 0]) / reach**2
    curve_y = (far[2, 1] - 2 * far[1, 1] + far[0, 1]) / reach**2
    twist = (near[2, 2] - near[0, 2] - near[2, 0] + near[0, 0]) / 4
    hessian = np.array([[curve_x, twist], [twist, curve_y]])
    if abs(np.linalg.det(hessian)) <= 1e-12 * max(abs(hessian).max() ** 2, 1e-300):
        return np.zeros(2)
    return -np.linalg.solve(hessian, gradient)


def blur(maps: Floats, width: int) -> Floats:
    """Maps blurred by a Gaussian of `width` taps (sigma as OpenCV's), zeros beyond; each keeps its maximum.

    Raises InputError for a width that is not odd.
    """
    if width % 2 == 0 or width < 1:
        raise InputError(f"parameters.blur is {width}: a Gaussian needs an odd number of taps, such as 11")
    sigma = 0.3 * ((width - 1) * 0.5 - 1) + 0.8
    taps = np.exp(-((np.arange(width) - width // 2) ** 2) / (2 * sigma**2))
    taps /= taps.sum()
    smooth = maps
    for axis in (2, 3):
        smooth = np.apply_along_axis(np.convolve, axis, smooth, taps, mode="full")
        smooth = smooth.take(range(width // 2, width // 2 + maps.shape[axis]), axis=axis)
    peak, smoothed = maps.max(axis=(2, 3), keepdims=True), smooth.max(axis=(2, 3), keepdims=True)
    return np.asarray(smooth * np.divide(peak, smoothed, out=np.ones_like(peak), where=smoothed > 0))


DECODERS.register(
    Locator(
        name="heatmap",
        decode=decode_heatmap,
        parameters={"method": Domain("a word", words=tuple(_METHODS)), "blur": COUNT, "beta": POSITIVE, **LOCATES},
    )
)
