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
from landmark_ops.numerics.callables import call_blockwise, is_blockwise
from landmark_ops.numerics.distances import (
    Array,
    Callback,
    euclidean,
    sq_euclidean,
    transform_rows,
)
from landmark_ops.numerics.ranges import squares_fit

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
    for key, value in (("degree", degree), ("coef0", coef0)):
        if not np.isfinite(value):
            raise InputError(f"{key}={value} for kernel {name}: must be a finite number")
    if name == "polynomial" and degree < 0:
        raise InputError(f"degree={degree} for kernel polynomial: must not be negative")
    if name == "chi2":
        refuse_negative(Z)
    return Kernel(name, default_gamma(name, Z) if gamma is None else float(gamma), degree, coef0, nu)


def canonical_kernel(kernel: str) -> str:
    """The one name of a kernel; InputError naming the nearest ones for an unknown name."""
    name = ALIASES.get(kernel, kernel)
    if name not in KERNELS:
        near = get_close_matches(kernel, [*KERNELS, *ALIASES], 2) or KERNELS
        raise InputError(f"kernel {kernel!r} is unknown: did you mean one of {', '.join(near)}?")
    return name


def refuse_negative(Z: Array) -> None:
    """InputError where rows that chi2 is to compare hold negative values."""
    negative = (Z < 0).any(axis=1)
    if negative.any():
        raise InputError(
            f"kernel chi2: {int(negative.sum())} of {len(Z)} landmarks hold negative values, it is defined for "
            "histograms (>= 0): choose another kernel, or clean the source"
        )


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
        distances = cdist(Z, Z, "cityblock") if name == "laplacian" else euclidean(Z, Z)
    apart = distances[np.triu_indices(len(Z), 1)]
    apart = apart[apart > 0]
    if len(apart) == 0:
        raise InputError(
            f"kernel {name}: all {len(Z)} landmarks are identical, so no median distance exists: "
            "the data is constant, or give gamma"
        )
    median = np.float64(np.median(apart))
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        gamma = float(1 / (2 * median**2) if name == "rbf" else 1 / median)
    if not (np.isfinite(gamma) and gamma > 0):
        raise InputError(
            f"kernel {name}: the median distance between landmarks is {median:.3g}, its gamma of {gamma:g} is beyond "
            "float64: multiply the rows by a power of ten"
        )
    return gamma


def additive_chi2(X: Array, Z: Array) -> NDArray[np.float64]:
    """Sum over features of (x - z)^2 / (x + z), with 0/0 = 0; (b, m) float64."""
    X, Z = np.asarray(X, np.float64), np.asarray(Z, np.float64)
    out = np.zeros((len(X), len(Z)))
    for x, z in zip(X.T, Z.T, strict=True):  # one feature at a time keeps temporaries at (b, m)
        total = x[:, None] + z[None, :]
        difference = x[:, None] - z[None, :]
        share = np.divide(difference, total, out=np.zeros_like(total), where=total != 0)
        out += np.multiply(difference, share, out=share)  # squares might overflow where this does not
    return out


def kernel_block(X: Array, Z: Array, kernel: Kernel) -> Array:
    """The kernel between rows X (b, d) and landmarks Z (m, d), (b, m), in the dtype of X where BLAS computes it."""
    if kernel.fn is not None:
        return call_blockwise(kernel.fn, kernel.blockwise, X, Z, {}, "kernel")
    return BLOCKS[kernel.name](X, Z, kernel)


def kernel_diagonal(X: Array, kernel: Kernel) -> Array:
    """k(x, x) for each row, (b,)."""
    if kernel.fn is not None:
        return np.concatenate(
            [
                np.diagonal(
                    call_blockwise(
                        kernel.fn, kernel.blockwise, X[i : i + PAIR_BATCH], X[i : i + PAIR_BATCH], {}, "kernel"
                    )
                )
                for i in range(0, len(X), PAIR_BATCH)
            ]
        )
    if kernel.name == "precomputed":
        return np.full(len(X), np.nan, X.dtype)
    if kernel.name in ("linear", "polynomial", "sigmoid"):
        return dot_kernel(X, None, kernel)
    return np.ones(len(X), X.dtype)


def dot_kernel(X: Array, Z: Array | None, kernel: Kernel) -> Array:
    """The dot-product kernels of rows X (b, d) with Z (m, d), (b, m), or with themselves where Z is None, (b,).

    In float32 where products and powers stay within its range, else in float64; Inf where that is too small as well.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        products = np.einsum("ij,ij->i", X, X) if Z is None else X @ Z.T.astype(X.dtype)
        values = elementwise(products, kernel)
        single = in_single(products, X) and (kernel.name == "sigmoid" or in_single(values, X))
        return values if X.dtype != np.float32 or single else dot_kernel(X.astype(np.float64), Z, kernel)


def in_single(values: Array, X: Array) -> bool:
    """Whether products of float32 rows are within float32's range: neither huge, nor underflown where X is not 0."""
    top = float(np.abs(values).max(initial=0))
    return squares_fit(top, values.dtype) or (top == 0 and not X.any())


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
    return dot_kernel(X, Z, kernel)


def _cosine(X: Array, Z: Array, kernel: Kernel) -> Array:
    return np.asarray(transform_rows(X, "unit") @ transform_rows(Z, "unit").T.astype(X.dtype))


def _rbf(X: Array, Z: Array, kernel: Kernel) -> Array:
    exponents = _scaled(sq_euclidean(X, Z), -kernel.gamma)
    return np.exp(exponents, out=exponents)


def _scaled(values: Array, gamma: float) -> Array:
    """gamma x distances, in float64 where float32 cannot hold gamma."""
    if values.dtype == np.float32 and not squares_fit(abs(gamma), values.dtype):
        values = values.astype(np.float64)
    with np.errstate(over="ignore"):
        return np.asarray(values * gamma)


def _laplacian(X: Array, Z: Array, kernel: Kernel) -> Array:
    return np.exp(-kernel.gamma * cdist(np.asarray(X, np.float64), np.asarray(Z, np.float64), "cityblock"))


def _chi2(X: Array, Z: Array, kernel: Kernel) -> Array:
    return np.exp(-kernel.gamma * additive_chi2(X, Z))


def _matern(X: Array, Z: Array, kernel: Kernel) -> Array:
    """Rasmussen & Williams 2006, eqs. 4.14-4.17, with r = gamma |x - z|."""
    r = _scaled(euclidean(X, Z), kernel.gamma)
    if kernel.nu == 0.5:
        return np.exp(-r)
    # Beyond 1e4 the exponential is 0, and s^2 of an infinite s would make it NaN.
    s = np.minimum(np.sqrt(2 * kernel.nu).astype(r.dtype) * r, r.dtype.type(1e4))
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
