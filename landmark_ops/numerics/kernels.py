"""Kernels between b rows and m landmarks, with scikit-learn's definitions and a median-distance bandwidth.

rbf        exp(-gamma |x - z|^2)                    laplacian  exp(-gamma |x - z|_1)
polynomial (gamma x.z + coef0)^degree               sigmoid    tanh(gamma x.z + coef0)
linear     x.z                                      cosine     x.z / (|x| |z|)
chi2       exp(-gamma sum (x - z)^2 / (x + z))      matern     Matern of order nu in gamma |x - z|
precomputed: the rows are the block, k(x, z_1) ... k(x, z_m)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import (
    Array,
    Callback,
    call_blockwise,
    is_blockwise,
    sq_euclidean,
    transform_rows,
)

KERNELS = ("rbf", "laplacian", "polynomial", "linear", "sigmoid", "cosine", "chi2", "matern", "precomputed")
ALIASES = {"poly": "polynomial", "gaussian": "rbf"}
NUS = (0.5, 1.5, 2.5)
PAIR_BATCH = 16  # rows per call when only the diagonal of a callable kernel is wanted


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel with all its parameters resolved. `gamma` is 1/length-scale for matern, unused by linear and cosine."""

    name: str
    gamma: float = 1.0
    degree: float = 3.0
    coef0: float = 1.0
    nu: float = 1.5
    fn: Callback | None = None
    blockwise: bool = False


def resolve_kernel(
    kernel: str | Callback,
    Z: Array,
    *,
    gamma: float | None = None,
    degree: float = 3.0,
    coef0: float = 1.0,
    nu: float = 1.5,
) -> Kernel:
    """Look a kernel up and choose gamma from the landmarks Z (m, d) where none is given.

    Median rule: with s the median distance between distinct landmarks, gamma = 1/(2 s^2) for rbf, 1/s for
    laplacian (city-block s), matern (Euclidean s) and chi2 (s in its own distance); 1/d for polynomial and sigmoid.
    Raises InputError for unknown names, gamma not positive and finite, unsupported nu, and identical landmarks.
    """
    if callable(kernel):
        return Kernel("callable", fn=kernel, blockwise=is_blockwise(kernel, Z, {}))
    name = canonical_kernel(kernel)
    if gamma is not None and not (np.isfinite(gamma) and gamma > 0):
        raise InputError(
            f"gamma={gamma} for kernel {name}: must be positive and finite, or left out for the median rule"
        )
    if name == "matern" and nu not in NUS:
        raise InputError(f"nu={nu} for kernel matern: must be one of {', '.join(map(str, NUS))}")
    if name == "chi2" and np.any(Z < 0):
        raise InputError("kernel chi2: rows hold negative values, it is defined for histograms (>= 0): choose another")
    return Kernel(name, default_gamma(name, Z) if gamma is None else float(gamma), degree, coef0, nu)


def canonical_kernel(kernel: str) -> str:
    """The one name of a kernel; InputError naming the nearest ones for an unknown name."""
    name = ALIASES.get(kernel, kernel)
    if name not in KERNELS:
        near = get_close_matches(kernel, [*KERNELS, *ALIASES], 2) or KERNELS
        raise InputError(f"kernel {kernel!r} is unknown: did you mean one of {', '.join(near)}?")
    return name


def default_gamma(name: str, Z: Array) -> float:
    """The median rule of `resolve_kernel` on at most 2,000 landmarks, float64."""
    Z = np.asarray(Z[:2000], np.float64)
    if name in ("polynomial", "sigmoid"):
        return 1.0 / Z.shape[1]
    if name in ("linear", "cosine", "precomputed"):
        return 1.0
    if name == "chi2":
        distances = additive_chi2(Z, Z)
    else:
        distances = cdist(Z, Z, "cityblock") if name == "laplacian" else np.sqrt(sq_euclidean(Z, Z))
    apart = distances[np.triu_indices(len(Z), 1)]
    apart = apart[apart > 0]
    if len(apart) == 0:
        raise InputError(
            f"kernel {name}: all {len(Z)} landmarks are identical, so no median distance exists: "
            "the data is constant, or give gamma"
        )
    median = float(np.median(apart))
    return 1 / (2 * median**2) if name == "rbf" else 1 / median


def additive_chi2(X: Array, Z: Array) -> NDArray[np.float64]:
    """Sum over features of (x - z)^2 / (x + z), with 0/0 = 0; (b, m) float64."""
    X, Z = np.asarray(X, np.float64), np.asarray(Z, np.float64)
    out = np.zeros((len(X), len(Z)))
    for x, z in zip(X.T, Z.T, strict=True):  # one feature at a time keeps temporaries at (b, m)
        total = x[:, None] + z[None, :]
        difference = x[:, None] - z[None, :]
        out += np.divide(difference**2, total, out=np.zeros_like(total), where=total != 0)
    return out


def kernel_block(X: Array, Z: Array, kernel: Kernel) -> Array:
    """The kernel between rows X (b, d) and landmarks Z (m, d), (b, m), in the dtype of X where BLAS computes it."""
    if kernel.fn is not None:
        return call_blockwise(kernel.fn, kernel.blockwise, X, Z, {})
    return BLOCKS[kernel.name](X, Z, kernel)


def kernel_diagonal(X: Array, kernel: Kernel) -> Array:
    """k(x, x) for each row, (b,)."""
    if kernel.fn is not None:
        return np.concatenate(
            [
                np.diagonal(
                    call_blockwise(kernel.fn, kernel.blockwise, X[i : i + PAIR_BATCH], X[i : i + PAIR_BATCH], {})
                )
                for i in range(0, len(X), PAIR_BATCH)
            ]
        )
    if kernel.name == "precomputed":
        return np.full(len(X), np.nan, X.dtype)
    if kernel.name in ("linear", "polynomial", "sigmoid"):
        return elementwise(np.einsum("ij,ij->i", X, X), kernel)
    return np.ones(len(X), X.dtype)


def elementwise(products: Array, kernel: Kernel) -> Array:
    """The dot-product kernels as functions of x.z."""
    if kernel.name == "polynomial":
        return np.power(kernel.gamma * products + kernel.coef0, kernel.degree).astype(products.dtype)
    if kernel.name == "sigmoid":
        return np.tanh(kernel.gamma * products + kernel.coef0).astype(products.dtype)
    return products


def _precomputed(X: Array, Z: Array, kernel: Kernel) -> Array:
    """Rows are their own kernel values with the landmarks, in order."""
    return X


def _dot(X: Array, Z: Array, kernel: Kernel) -> Array:
    return elementwise(X @ Z.T.astype(X.dtype), kernel)


def _cosine(X: Array, Z: Array, kernel: Kernel) -> Array:
    return np.asarray(transform_rows(X, "unit") @ transform_rows(Z, "unit").T.astype(X.dtype))


def _rbf(X: Array, Z: Array, kernel: Kernel) -> Array:
    return np.exp(-kernel.gamma * sq_euclidean(X, Z.astype(X.dtype)))


def _laplacian(X: Array, Z: Array, kernel: Kernel) -> Array:
    return np.exp(-kernel.gamma * cdist(np.asarray(X, np.float64), np.asarray(Z, np.float64), "cityblock"))


def _chi2(X: Array, Z: Array, kernel: Kernel) -> Array:
    return np.exp(-kernel.gamma * additive_chi2(X, Z))


def _matern(X: Array, Z: Array, kernel: Kernel) -> Array:
    """Rasmussen & Williams 2006, eqs. 4.14-4.17, with r = gamma |x - z|."""
    r = kernel.gamma * np.sqrt(sq_euclidean(X, Z.astype(X.dtype)))
    if kernel.nu == 0.5:
        return np.exp(-r)
    s = np.sqrt(2 * kernel.nu).astype(r.dtype) * r
    return (1 + s if kernel.nu == 1.5 else 1 + s + s * s / 3) * np.exp(-s)


BLOCKS: dict[str, Callable[[Array, Array, Kernel], Any]] = {
    "rbf": _rbf,
    "laplacian": _laplacian,
    "polynomial": _dot,
    "linear": _dot,
    "sigmoid": _dot,
    "cosine": _cosine,
    "chi2": _chi2,
    "matern": _matern,
    "precomputed": _precomputed,
}
