"""The block of landmark Isomap: squared geodesics of new rows to the landmarks, through support rows beside the map.

    delta(x, l) = min over the nearest support rows j of  d(x, j) + G(j, l)

A row that coincides with a support row has that row's geodesics exactly. It stands where a `Metric` or `Kernel`
stands as the block of a LandmarkMap, and is stored with it: arrays and parameters, never code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.callables import Callback
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.exact_index import ExactIndex
from landmark_ops.numerics.metric import Metric
from landmark_ops.numerics.neighbors import check_count, measurable
from landmark_ops.numerics.ranges import squares

SUPPORT_ROWS = 20_000  # stored beside a map at most: 15 MB of 192 features, 40 MB of geodesics to 500 landmarks


@dataclass(frozen=True, eq=False)
class Geodesic:
    """Geodesics of rows to m landmarks through s support rows. Immutable.

    Attributes
    ----------
    points
        (s, d) support rows, as stored in the source.
    geodesics
        (s, m) float32: their shortest path lengths to the landmarks, Inf where no path leads there.
    n_neighbors
        Support rows that a new row is connected to.
    metric
        The `Metric` between rows; its units are those of the geodesics.
    """

    points: Array
    geodesics: NDArray[np.float32]
    n_neighbors: int
    metric: Metric
    name: ClassVar[str] = "geodesic"

    def __post_init__(self) -> None:
        if len(self.points) != len(self.geodesics):
            raise ValueError(f"{len(self.points)} support rows and {len(self.geodesics)} rows of geodesics")
        check_count(len(self.points), self.n_neighbors, self.n_neighbors)
        if np.isnan(self.geodesics).any():
            raise ValueError("geodesics of support rows must be numbers, Inf for rows that no landmark reaches")

    @property
    def fn(self) -> Callback | None:
        """The user's callable where the metric is one, else None: code is never stored."""
        return self.metric.fn

    @property
    def n_landmarks(self) -> int:
        """m."""
        return self.geodesics.shape[1]

    @cached_property
    def _index(self) -> ExactIndex:
        return ExactIndex(self.points, self.metric)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_index"}

    def sq_block(self, X: Array) -> Array:
        """Squared geodesics of rows X (b, d) to the landmarks, (b, m): float32 for float32 rows if it holds them.

        Rows holding NaN or Inf, or undefined under the metric, get NaN, those whose neighbours no landmark reaches Inf.
        Costs b s d for the search and b k m.
        """
        dtype = np.result_type(X.dtype, np.float32)
        out = np.full((len(X), self.n_landmarks), np.nan, dtype)
        good = np.flatnonzero(measurable(X, self.metric))
        if len(good) == 0:
            return out
        found = self._index.search(X[good], self.n_neighbors)
        # A support row is at no distance from itself (and its duplicates): only those count then. Through another
        # neighbour the sum could be shorter, by rounding or, in a sampled support, by a straight line off the graph.
        same = found.distances[:, 0] == 0
        lengths = np.where(same[:, None] & (found.distances > 0), np.inf, found.distances).astype(dtype)
        nearest = np.full((len(good), self.n_landmarks), np.inf, dtype)
        for column in range(self.n_neighbors):
            np.minimum(nearest, lengths[:, column, None] + self.geodesics[found.indices[:, column]], out=nearest)
        squared = squares(nearest)
        out = out.astype(squared.dtype, copy=False)
        out[good] = squared
        return out

    def to_state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and JSON-able parameters that `from_state` rebuilds the block from; InputError for a callable."""
        if self.fn is not None:
            raise InputError(
                "geodesics under a callable metric cannot be stored, code is not data: "
                "keep the map in memory, or use a named metric"
            )
        arrays: dict[str, Array] = {"points": self.points, "geodesics": self.geodesics}
        scalars = {key: value for key, value in self.metric.params.items() if np.ndim(value) == 0}
        for key in self.metric.params.keys() - scalars.keys():
            arrays[f"metric_{key}"] = np.asarray(self.metric.params[key], np.float64)
        return arrays, {
            "n_neighbors": self.n_neighbors,
            "metric": self.metric.name,
            "metric_params": {key: float(value) for key, value in scalars.items()},
        }

    @staticmethod
    def from_state(arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> Geodesic:
        """Rebuild a block from `to_state`."""
        given = {key.removeprefix("metric_"): value for key, value in arrays.items() if key.startswith("metric_")}
        metric = Metric(meta["metric"], {**meta["metric_params"], **given})
        return Geodesic(arrays["points"], arrays["geodesics"], int(meta["n_neighbors"]), metric)
