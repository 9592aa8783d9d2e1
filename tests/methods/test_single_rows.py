"""Rows in float32 have the coordinates of the same rows in float64, or a fact says why not."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from landmark_ops import NystroemKernelPCA, SpectralEmbedding
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.passes.ranges import ranges
from landmark_ops.solver.asks import Source, solve_one
from landmark_ops.solver.method import Method, Solution
from landmark_ops.solver.section import METHODS
from landmark_ops.stores.sources.rows import ArrayRows

DIGITS = load_digits().data.astype(np.float32)


def blobs() -> NDArray[np.float32]:
    """3,000 rows of six positive features in three groups: smooth kernels of them have spectra that fall fast."""
    draw = np.random.default_rng(7)
    groups = [draw.normal(size=(1000, 6)) + center for center in (0, 3, -3)]
    return np.abs(draw.permutation(np.concatenate(groups))).astype(np.float32)


def apart(estimator: NystroemKernelPCA | SpectralEmbedding, X: NDArray[np.float32]) -> float:
    """How far the coordinates of float32 rows are from those of the same rows in float64, of the largest."""
    single, double = (np.asarray(estimator.fit_transform(rows), np.float64) for rows in (X, X.astype(np.float64)))
    return float(np.abs(single - double).max() / np.abs(double).max())


@pytest.mark.parametrize(("kernel", "X"), [("linear", DIGITS), ("cosine", DIGITS), ("chi2", blobs()), ("rbf", DIGITS)])
def test_kernel_pca_of_single_rows_is_that_of_double_rows(kernel, X):
    """Folded, or computed in float64 whatever the rows are: nothing is rounded that small eigenvalues would magnify."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert apart(NystroemKernelPCA(4, n_landmarks=200, kernel=kernel, random_state=3), X) < 1e-5


@pytest.mark.parametrize("kernel", ["laplacian", "chi2"])
def test_so_is_the_spectral_embedding_where_kernels_are_computed_in_double(kernel):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert apart(SpectralEmbedding(4, n_landmarks=200, kernel=kernel, random_state=3), blobs()) < 1e-5


@pytest.mark.parametrize("estimator", [NystroemKernelPCA, SpectralEmbedding])
@pytest.mark.parametrize("kernel", ["rbf", "polynomial"])
def test_what_rounding_takes_is_small(estimator, kernel):
    assert 1e-5 < apart(estimator(4, n_landmarks=200, kernel=kernel, random_state=3), blobs()) < 1e-2


@pytest.mark.parametrize("name", ["nystroem_kernel_pca", "spectral_embedding", "spectral_clustering"])
def test_what_rounding_takes_is_a_fact(name):
    rows = blobs()
    section = METHODS[name].model_validate({"name": name, "kernel": "rbf"})
    single, double = (solved(section.make(0), rows.astype(dtype)).facts for dtype in ("f4", "f8"))
    assert "directions between landmarks" not in double
    kept = str(single["directions between landmarks"])
    assert re.match(
        r"\d+ of \d+ kept: in float32 the others, below 2.4e-05 of the largest eigenvalue, are rounding", kept
    )


def solved(method: Method, rows: NDArray[np.floating[Any]]) -> Solution:
    """A method solved from the first 200 rows."""
    held = ArrayRows(rows)
    source = Source(held, LocalEngine(1), ranges(held.n, 1000), 3)
    return solve_one(method.solve(rows[:200], rows.dtype), source)
