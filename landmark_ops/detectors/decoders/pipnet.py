"""PIPNet heads, for nets a user brings: a class map and offsets per point, and guesses of its neighbours' places.

Jin, Liao, Shao 2021, arXiv:2003.03771; lib/functions.py and lib/tools of jhb86253817/PIPNet.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.decoder import DECODERS, Locator
from landmark_ops.detectors.decoders.domains import LOCATES, POSITIVE, Domain, required
from landmark_ops.detectors.decoders.heads import heads, shaped
from landmark_ops.detectors.decoders.parameters import number, numbers
from landmark_ops.detectors.instances import Floats, Outputs, Parameters, Points, Size, unknown
from landmark_ops.errors import InputError


def decode_pipnet(outputs: Outputs, size: Size, parameters: Parameters) -> Points:
    """The points of each crop.

    outputs: class maps (n, K, rows, columns), offsets x and y of the same shape, offsets of each point's N neighbours
    (n, K·N, rows, columns) in x and in y. parameters: stride; neighbours, K lists of N points.
    A point is the mean of its own prediction and those of the points that count it among their neighbours.
    Scores are the maxima of the class maps, which PIPNet trains towards 1 by squared error: no sigmoid.
    """
    neighbours = numbers(parameters, "neighbours").astype(np.intp)
    stride = number(parameters, "stride")
    names = ("class maps", "offsets x", "offsets y", "neighbours x", "neighbours y")
    cells = [round(side / stride) for side in size[::-1]]
    cls, x, y, neighbour_x, neighbour_y = (
        shaped(head, name, neighbours.size if "neigh" in name else len(neighbours), *cells).astype(np.float64)
        for head, name in zip(heads(outputs, *names), names, strict=True)
    )
    n, n_keypoints, _, columns = cls.shape
    best = cls.reshape(n, n_keypoints, -1).argmax(axis=2)
    column, row = best % columns, best // columns  # whole numbers: a true division shifts every row
    own = np.stack([column + _at(x, best), row + _at(y, best)], axis=-1)
    told = np.stack(
        [column.repeat(neighbours.shape[1], axis=1), row.repeat(neighbours.shape[1], axis=1)], axis=-1
    ).astype(np.float64)
    there = best.repeat(neighbours.shape[1], axis=1)
    told += np.stack([_at(neighbour_x, there), _at(neighbour_y, there)], axis=-1)
    merged = np.concatenate([own[:, :, None], told[:, reverse_index(neighbours)]], axis=2).mean(axis=2)

    keypoints = unknown(n, n_keypoints, 3)
    keypoints[..., :2] = merged * stride
    return Points(keypoints, _at(cls, best), unknown(n, n_keypoints), unknown(n), {})


def reverse_index(neighbours: NDArray[np.intp]) -> NDArray[np.intp]:
    """(K, L) which of the K·N told places speak of each point, repeated in turn to the longest list, as upstream does.

    Raises InputError for a point that no other counts as a neighbour.
    """
    flat = neighbours.ravel()
    tellers = [np.flatnonzero(flat == k) for k in range(len(neighbours))]
    alone = [k for k, of in enumerate(tellers) if not len(of)]
    if alone:
        raise InputError(
            f"parameters.neighbours never names point {alone[0]}: every point needs to be some point's neighbour"
        )
    longest = max(len(of) for of in tellers)
    return np.stack([np.resize(of, longest) for of in tellers])


def _at(maps: Floats, cells: NDArray[np.intp]) -> Floats:
    """The value of each map (n, K, rows, columns) at its flat cell (n, K)."""
    flat = maps.reshape(*maps.shape[:2], -1)
    return np.asarray(np.take_along_axis(flat, cells[..., None], axis=2)[..., 0])


DECODERS.register(
    Locator(
        name="pipnet",
        decode=decode_pipnet,
        parameters={
            "stride": required(POSITIVE),
            "neighbours": required(Domain("a list of point numbers for each point", 0, whole=True, depth=2)),
            **LOCATES,
        },
    )
)
