"""The base of estimators that learn from a target: rows and their targets in, values with errors or classes out.

In memory, scikit-learn's rules hold: NaN and Inf are refused, also in the target. A lazy target may have NaN, which
marks rows that are not learned from; a warning says how many.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, check_is_fitted, column_or_1d, validate_data

from landmark_ops.errors import Edge, InputError, speaks
from landmark_ops.estimators.base import MapEstimator, refuse_mask
from landmark_ops.maps.heads import Classes, Regression
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.numerics.distances import Array
from landmark_ops.passes.lazy_arrays import is_lazy, map_lazily, map_rows
from landmark_ops.passes.targets import Targets, as_numbers, check_targets
from landmark_ops.passes.undefined_rows import refuse_lacking
from landmark_ops.solver.method import Solution
from landmark_ops.stores.sources.arrays import as_rows, as_values
from landmark_ops.stores.sources.rows import Rows, check_exact


class SupervisedEstimator(MapEstimator):
    """Base of regressors and classifiers."""

    @speaks(Edge.ESTIMATOR)
    def fit(self, X: Any, y: Any) -> Self:
        """Select landmarks from the rows X (n, d) and learn the targets y (n,) in one pass over both.

        X and y may each be an ndarray, a dask array, a zarr array or `Rows` (n, 1); see `LandmarkMDS.fit` for
        `selection`.
        """
        rows, values = self._learned(X, y)
        targets = check_targets(Targets(as_values(values)), rows, type(self).__name__)
        solution = self._fit(rows, targets)
        used = int(solution.facts["training rows"])
        if used < rows.n:
            warnings.warn(
                f"target: {rows.n - used:,} of {rows.n:,} rows hold NaN or Inf there and were not learned from",
                UserWarning,
                stacklevel=3,
            )
        self._finish(solution)
        return self

    def _learned(self, X: Any, y: Any) -> tuple[Rows, Any]:
        """Rows, and targets as numbers (n,), checked as far as they are in memory."""
        if not is_lazy(X) and not is_lazy(y):
            refuse_mask(X, "X")
            refuse_mask(y, "y")
            X, y = validate_data(self, X, y, dtype="numeric", order="C", y_numeric=False)
            check_exact(X, "X", 0, X.shape[1])
            return as_rows(X), self._numbers(y)
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        rows = self._rows(X, reset=True)
        return rows, y if is_lazy(y) else self._numbers(column_or_1d(y, warn=True))

    def _numbers(self, y: NDArray[Any]) -> NDArray[Any]:
        """Targets in memory (n,) as the method learns them."""
        raise NotImplementedError

    def _finish(self, solution: Solution) -> None:
        """Keep what is special about the fitted method."""

    def _apply(self, X: Any, fn: Callable[[Array], Array], k: int, dtype: np.dtype[Any]) -> Any:
        """fn: (b, d) -> (b, k) on rows X, now or lazily."""
        check_is_fitted(self, "map_")
        if not is_lazy(X):
            X = self._validated(X, reset=False)
            return refuse_lacking(map_rows(X, fn), X, self.map_, "X")
        rows = as_rows(X)
        if rows.d != self.n_features_in_:
            raise InputError(
                f"X has {rows.d} features, but {type(self).__name__} is expecting {self.n_features_in_} features as "
                "input"
            )
        return map_lazily(X, lambda block: refuse_lacking(fn(block), block, self.map_, "a block of X"), k, dtype)


class LandmarkRegressor(RegressorMixin, SupervisedEstimator):
    """Base of regressors."""

    @speaks(Edge.ESTIMATOR)
    def predict(self, X: Any) -> Any:
        """Values (b,) float64 of rows X (b, d), lazy where X is."""
        return self._predicted(X, ("prediction",))[:, 0]

    def _predicted(self, X: Any, names: tuple[str, ...]) -> Any:
        """Outputs of the head by name, in columns (b, len(names)) float64."""
        check_is_fitted(self, "map_")
        fitted = self.map_ if "std" in names else mean_only(self.map_)

        def read(block: Array) -> Array:
            outputs = fitted.outputs(fitted.place(block))
            return np.stack([np.asarray(outputs[name], np.float64) for name in names], axis=1)

        return self._apply(X, read, len(names), np.dtype(np.float64))

    def _numbers(self, y: NDArray[Any]) -> NDArray[Any]:
        if (kind := np.asarray(y).dtype.kind) in "MmUS":
            raise InputError(f"y holds {'times' if kind in 'Mm' else 'text'}, {type(self).__name__} learns numbers")
        return as_numbers(np.asarray(_check_y(y, y_numeric=True, estimator=self)))


class LandmarkClassifier(ClassifierMixin, SupervisedEstimator):
    """Base of classifiers: labels of any type in memory, integers where the target is lazy."""

    classes_: NDArray[Any]

    @speaks(Edge.ESTIMATOR)
    def predict(self, X: Any) -> Any:
        """Labels (b,) of rows X (b, d), lazy where X is; InputError for rows without scores, which have no label."""
        fitted, classes = self._scorer(), np.asarray(self.classes_)

        if not is_lazy(X):
            X = self._validated(X, reset=False)
            return classes[refuse_lacking(map_rows(X, fitted), X, fitted, "X", ()).argmax(axis=1)]

        def read(block: Array) -> Array:
            scores = refuse_lacking(fitted(block), block, fitted, "a block of X", ())
            return classes[scores.argmax(axis=1)][:, None]

        return self._apply(X, read, 1, classes.dtype)[:, 0]

    @speaks(Edge.ESTIMATOR)
    def decision_function(self, X: Any) -> Any:
        """Scores (b, c) of rows X (b, d), the largest wins; of the second of two classes alone, (b,)."""
        scores = self._apply(X, self._scorer(), len(self.classes_), np.dtype(np.float64))
        return scores[:, 1] if len(self.classes_) == 2 else scores

    def _scorer(self) -> LandmarkMap:
        check_is_fitted(self, "map_")
        return self.map_

    def _numbers(self, y: NDArray[Any]) -> NDArray[Any]:
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"{type(self).__name__}: y holds 1 class, {self.classes_[0]!r}, at least 2 are needed: check the target"
            )
        return codes

    def _learned(self, X: Any, y: Any) -> tuple[Rows, Any]:
        if hasattr(self, "classes_"):  # of an earlier fit
            del self.classes_
        return super()._learned(X, y)

    def _finish(self, solution: Solution) -> None:
        head = solution.map.head
        assert isinstance(head, Classes)
        if not hasattr(self, "classes_"):
            self.classes_ = head.classes


def mean_only(fitted: LandmarkMap) -> LandmarkMap:
    """The map without its variance, which costs m^2 per row."""
    head = fitted.head
    assert isinstance(head, Regression)
    return replace(fitted, self_term=False, spread=None, head=replace(head, noise=None))
