"""Landmark Isomap as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from landmark_ops.errors import Edge, speaks
from landmark_ops.estimators.base import LandmarkEstimator
from landmark_ops.maps.evaluation import compute_dtype
from landmark_ops.methods.landmark_isomap import LandmarkIsomapConfig
from landmark_ops.numerics.callables import Callback
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.ranges import narrow_rows, squares
from landmark_ops.passes.lazy_arrays import is_lazy, map_lazily
from landmark_ops.passes.ranges import ranges, task_rows
from landmark_ops.passes.targets import Targets
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.solver.method import Solution
from landmark_ops.stores.sources.rows import Rows


class LandmarkIsomap(LandmarkEstimator):
    """Landmark Isomap, with `transform` for new rows.

    Parameters
    ----------
    n_components
        Dimensions of the embedding, k.
    n_neighbors
        Neighbours each row is connected to; the graph is symmetrised.
    components
        What to do where the graph falls apart: "error" names the sizes, "join" adds the shortest edges between the
        components, "largest" gives rows of all others NaN, and in `transform` rows whose neighbours lie among them.
    max_support
        Rows the graph is made of, at most; beyond it a uniform sample, and rows are placed by their neighbours in it.
    n_landmarks, selection, random_state
        As in `LandmarkMDS`; landmarks must be rows of X (no k-means centres, no given points).
    metric
        As in `LandmarkMDS`; the approximate search of large data knows euclidean, sqeuclidean, cosine, correlation.

    Attributes
    ----------
    map_, landmarks_, landmark_indices_, landmark_embedding_, eigenvalues_, spectrum_, rank_, negative_mass_
        As in `LandmarkMDS`.

    Examples
    --------
    >>> from sklearn.datasets import make_swiss_roll
    >>> X, _ = make_swiss_roll(1000, random_state=0)
    >>> LandmarkIsomap(2, n_landmarks=100, random_state=0).fit_transform(X).shape
    (1000, 2)

    See Also
    --------
    sklearn.manifold.Isomap : the exact method, n x n
    """

    section = LandmarkIsomapConfig

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_neighbors: int = 10,
        components: Literal["error", "join", "largest"] = "error",
        max_support: int = 1_000_000,
        n_landmarks: int = 500,
        selection: str = "uniform",
        metric: str | Callback = "euclidean",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.components = components
        self.max_support = max_support
        self.n_landmarks = n_landmarks
        self.selection = selection
        self.metric = metric
        self.random_state = random_state

    @speaks(Edge.ESTIMATOR)
    def fit_transform(self, X: Any, y: None = None, **fit_params: Any) -> Any:
        """Fit, and place the rows of X themselves along the whole graph; lazy where X is lazy.

        `transform` knows new rows by their neighbours among at most 20,000 of the graph's rows.
        """
        self.fit(X)
        blocks = self._blocks
        if blocks is None:
            return self.transform(X)
        fitted, k = self.map_, self.map_.n_components
        dtype = compute_dtype(self._rows_dtype)

        def place(lengths: Array) -> Array:
            return narrow_rows(fitted.place_blocks(squares(np.asarray(lengths, dtype))).embedding, dtype)

        if is_lazy(X):
            return map_lazily(blocks, place, k, dtype)
        return np.concatenate([place(blocks.read(*item)) for item in ranges(blocks.n, task_rows(blocks, k))])

    def _fit(self, rows: Rows, targets: Targets | None) -> Solution:
        self._rows_dtype = rows.dtype
        return super()._fit(rows, targets)

    def _keep(self, solution: Solution, landmarks: Landmarks) -> None:
        super()._keep(solution, landmarks)
        self._blocks = solution.blocks
