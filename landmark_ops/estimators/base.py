"""The base of all landmark estimators: fit by the three steps of a `Method`, transform by its LandmarkMap.

NumPy in gives NumPy out; dask arrays, zarr arrays and `Rows` in give a lazy dask array out.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from landmark_ops.engine.protocol import Engine
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import Edge, InputError, in_words_of, speaks
from landmark_ops.estimators.parameters import check_parameters
from landmark_ops.maps.evaluation import compute_dtype, output_dtype
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.passes.lazy_arrays import is_lazy, map_rows, place_lazily
from landmark_ops.passes.ranges import ranges, task_rows
from landmark_ops.passes.targets import Targets
from landmark_ops.passes.undefined_rows import refuse_lacking, refuse_outside
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.probe import probe_rows
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import named_strategy, select
from landmark_ops.solver.asks import Source, solve_one
from landmark_ops.solver.geometry import named_block, selection_geometry, with_bandwidth
from landmark_ops.solver.method import Method, Solution
from landmark_ops.solver.section import MethodSection
from landmark_ops.solver.stored_range import storable
from landmark_ops.stores.sources.arrays import as_rows
from landmark_ops.stores.sources.rows import Rows, check_exact


class MapEstimator(BaseEstimator):
    """The base of transformers, clusterers, regressors and classifiers: select, solve, keep the map.

    Subclasses store their parameters, and say of which method's section they are the parameters.
    """

    n_landmarks: int
    selection: Any
    random_state: Any
    map_: LandmarkMap
    section: ClassVar[type[MethodSection]]

    def method(self) -> Method:
        """The method these parameters describe."""
        return self.section.method_of(self.get_params(deep=False))

    def _fit(self, rows: Rows, targets: Targets | None) -> Solution:
        """Select, solve, keep. `targets` are what supervised methods learn."""
        check_parameters(self.get_params(deep=False), self.section)
        if rows.n < 2:
            raise InputError(f"{type(self).__name__}: n_samples = 1, at least 2 rows are needed")
        engine: Engine = LocalEngine()
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        items = ranges(rows.n, task_rows(rows))
        refuse_outside(rows, named_block(self.method()), engine, items)
        method, landmarks = self._select(rows, self.method(), engine, seed)
        source = Source(rows, engine, items, seed, targets, landmark_indices=landmarks.indices)
        solution = solve_one(method.solve(landmarks.points, compute_dtype(rows.dtype)), source)
        if output_dtype(solution.map, rows.dtype) == np.float32:
            solution = storable(solution)._replace(warnings=solution.warnings)  # residuals are not handed out
        for message in solution.warnings:
            warnings.warn(in_words_of(message, Edge.ESTIMATOR), UserWarning, stacklevel=4)
        self._keep(solution, landmarks)
        return solution

    def _rows(self, X: Any, *, reset: bool) -> Rows:
        if not is_lazy(X):
            return as_rows(self._validated(X, reset=reset))
        rows = as_rows(X)
        self.n_features_in_ = rows.d
        return rows

    def _validated(self, X: Any, *, reset: bool) -> Any:
        refuse_mask(X, "X")
        X = validate_data(self, X, reset=reset, dtype="numeric", order="C", ensure_min_samples=1)
        check_exact(X, "X", 0, X.shape[1])
        return X

    def _select(self, rows: Rows, method: Method, engine: Engine, seed: int) -> tuple[Method, Landmarks]:
        """The landmarks, and the method with the bandwidth they were chosen by."""
        if not isinstance(self.selection, str):
            chosen = np.asarray(self.selection)
            given: dict[str, Any] = {"indices" if chosen.ndim == 1 else "points": chosen}
            return method, select("given", Request(rows, len(chosen), seed, engine, **given))
        named_strategy(self.selection)
        count = self.n_landmarks
        if count > rows.n:
            warnings.warn(
                f"n_landmarks={count} exceeds the {rows.n} rows: every row is a landmark, the exact method",
                UserWarning,
                stacklevel=5,
            )
            return method, select("given", Request(rows, rows.n, seed, engine, indices=np.arange(rows.n)))
        metric, kernel = selection_geometry(self.selection, method, lambda: probe_rows(rows, seed, engine))
        landmarks = select(self.selection, Request(rows, count, seed, engine, metric, kernel=kernel))
        return with_bandwidth(method, kernel), landmarks

    def _keep(self, solution: Solution, landmarks: Landmarks) -> None:
        self.map_ = solution.map
        self.landmarks_ = landmarks.points
        self.landmark_indices_ = landmarks.indices
        self.landmark_embedding_ = solution.embedding
        self.eigenvalues_ = solution.eigenvalues
        self.spectrum_ = solution.spectrum
        self.rank_ = solution.rank
        self.negative_mass_ = solution.negative_mass
        self._n_features_out = solution.map.n_components


def refuse_mask(values: Any, name: str) -> None:
    """InputError for masked values, of which scikit-learn's checks drop the mask and keep what lies under it."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        hidden = int(np.ma.getmaskarray(values).sum())
        raise InputError(
            f"{name}: {hidden} of {values.size} values are masked, masks are not supported: drop these rows, or fill"
        )


class LandmarkEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, MapEstimator):
    """Base of the estimators that place rows."""

    @speaks(Edge.ESTIMATOR)
    def fit(self, X: Any, y: None = None) -> Self:
        """Select landmarks from the rows X (n, d) and solve for the map.

        X may be an ndarray, a dask array, a zarr array or `Rows`; `selection` a strategy name, an integer array of
        row numbers or an (m, d) array of points. With fewer than `n_landmarks` rows every row is a landmark, the
        exact method, with a warning.
        """
        self._fit(self._rows(X, reset=True), None)
        return self

    @speaks(Edge.ESTIMATOR)
    def transform(self, X: Any) -> Any:
        """Place rows X (b, d): an (b, k) ndarray, or a lazy dask array where X is lazy. Costs no refit.

        Raises InputError, of a lazy array when it is computed, naming why rows of finite numbers have no coordinates.
        """
        check_is_fitted(self, "map_")
        fitted = self.map_
        if is_lazy(X):
            return place_lazily(X, fitted)
        X = self._validated(X, reset=False)
        return refuse_lacking(map_rows(X, fitted), X, fitted, "X")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
