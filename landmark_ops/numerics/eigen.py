"""The small central eigenproblems: float64, symmetric, with relative cutoffs and fixed signs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

F64 = NDArray[np.float64]


# Up to this size one BLAS thread: a second saves a third at best, and costs seconds where the cores are busy, as
# threads then spin for each other (500 x 500 took 5 s of 0.05 beside other work).
ALONE = 2000


class Spectrum(NamedTuple):
    """Eigenvalues of a symmetric matrix, descending, and its eigenvectors in columns."""

    values: F64  # (m,)
    vectors: F64  # (m, m)

    def rank(self, cutoff: float) -> int:
        """How many eigenvalues exceed `cutoff` times the largest. Strictly: a zero matrix has rank 0."""
        return int(np.sum(self.values > cutoff * max(self.values[0], 0.0)))

    @property
    def negative_mass(self) -> float:
        """Sum of |negative eigenvalues| over the sum of all |eigenvalues|; 0 for the zero matrix."""
        total = float(np.abs(self.values).sum())
        return float(-self.values[self.values < 0].sum()) / total if total > 0 else 0.0


def symmetric_eigen(A: F64) -> Spectrum:
    """Full eigendecomposition of (A + A^T)/2 with signs fixed. Rounding leaves eigenvalues of size -1e-16 * |A|."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1 if len(A) <= ALONE else None, user_api="blas"):
        values, vectors = eigh((A + A.T) / 2)
    return Spectrum(values[::-1].copy(), fix_signs(vectors[:, ::-1]))


def fix_signs(vectors: F64) -> F64:
    """Columns with their entry of largest magnitude made positive.

    Entries within 1e-6 of the largest count as tied and the first of them decides, so that rounding cannot flip
    a column whose largest entries are equal up to sign.
    """
    magnitude = np.abs(vectors)
    leading = np.argmax(magnitude >= magnitude.max(axis=0) * (1 - 1e-6), axis=0)
    signs = np.sign(vectors[leading, np.arange(vectors.shape[1])])
    return np.ascontiguousarray(vectors * np.where(signs == 0, 1.0, signs))


def signs_of(landmarks: F64) -> F64:
    """+1 or -1 per column (k,), so that each landmark eigenvector's largest entry becomes positive."""
    return np.where(np.einsum("ij,ij->j", fix_signs(landmarks), landmarks) < 0, -1.0, 1.0)


def double_center(sq_dists: F64) -> F64:
    """B = -1/2 J D J with J = I - 11^T/m: inner products about the mean. `sq_dists`: (m, m) squared distances."""
    row_means = sq_dists.mean(axis=1)
    return -0.5 * (sq_dists - row_means[:, None] - row_means[None, :] + row_means.mean())
