"""Euclidean distances between b rows and m landmarks at any scale, and the rows that other metrics are Euclidean on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.ranges import SQUARES, exponent, largest, squares_fit

Array = NDArray[Any]

NEAR = 1e-3  # of |x|^2 + |z|^2 (centred): below it the expanded form has lost half of float32's digits
# Bound on temporaries when near pairs are recomputed, in elements.
NEAR_BATCH = 1 << 22


def transform_rows(X: Array, transform: str) -> Array:
    """Rows under which cosine and correlation are Euclidean: X, X/|X|, or (X - mean)/|X - mean|, same dtype.

    At any scale: rows whose squares leave the range of their dtype are first divided by a power of two.
    A zero (or for correlation constant) row has no direction: it becomes NaN, which callers report as undefined.
    """
    if transform == "none":
        return X
    if X.dtype not in SQUARES:
        X = np.asarray(X, np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        rows = centred(X) if transform == "center_unit" else X
        sq_norms = np.einsum("ij,ij->i", rows, rows)
        low, high = SQUARES[X.dtype]
        out = np.asarray(rows / np.sqrt(sq_norms)[:, None])
        odd = ~((sq_norms > low) & (sq_norms < high))
        if odd.any():
            out[odd] = _unit_rows(np.asarray(X[odd], np.float64), transform)
    return out


def centred(X: Array) -> Array:
    """Rows (b, d) less their mean, same dtype: both in float64, as float32 means of large values are off by many ulp.

    A constant row becomes exactly zero, whatever rounding does to its mean.
    """
    means = X.mean(axis=1, dtype=np.float64)
    out = np.subtract(X, means[:, None], dtype=np.float64).astype(X.dtype)
    near = np.abs(out[:, 0]) <= 1e-6 * np.abs(means)  # may be constant: looked at closely
    if near.any():
        at = np.flatnonzero(near)
        out[at[X[at].max(axis=1) == X[at].min(axis=1)]] = 0
    return out


def _unit_rows(X: NDArray[np.float64], transform: str) -> NDArray[np.float64]:
    """`transform_rows` for float64 rows of any scale, NaN where there is no direction or a row is not finite."""
    tops = np.abs(X).max(axis=1)
    X = np.ldexp(X, -np.frexp(tops)[1][:, None])
    if transform == "center_unit":
        X = centred(X)
        X = np.ldexp(X, -np.frexp(np.abs(X).max(axis=1))[1][:, None])
    norms = np.sqrt(np.vecdot(X, X))
    return np.asarray(X / np.where((norms > 0) & np.isfinite(tops), norms, np.nan)[:, None])


def sq_euclidean(X: Array, Z: Array) -> Array:
    """Squared Euclidean distances, (b, m), in the dtype of X, or in float64 where float32 could not hold them.

    Expanded form |x|^2 - 2 x.z + |z|^2, centred on the landmark mean (at offset 100 and d = 50 float32 errs by 0.7 %
    uncentred, 3e-6 centred). Pairs nearer than `NEAR` of their norms are recomputed from the difference: there the
    expanded form errs by 9 % for rows 1e-3 apart. Never negative.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        center = Z.mean(axis=0, dtype=np.float64).astype(X.dtype)
        Xc, Zc = X - center, (Z - center).astype(X.dtype, copy=False)
        x2, z2 = np.einsum("ij,ij->i", Xc, Xc), np.einsum("ij,ij->i", Zc, Zc)
        top = float(max(x2.max(initial=0), z2.max(initial=0)))
        if X.dtype == np.float32 and not squares_fit(top, X.dtype) and (top > 0 or Xc.any() or Zc.any()):
            return sq_euclidean(X.astype(np.float64), np.asarray(Z, np.float64))
        out = np.asarray(Xc @ (-2 * Zc.T))
        out += x2[:, None]
        out += z2[None, :]
        rows, columns = np.nonzero(out < NEAR * (x2[:, None] + z2[None, :]))
        step = max(1, NEAR_BATCH // X.shape[1])
        for at in range(0, len(rows), step):
            r, c = rows[at : at + step], columns[at : at + step]
            difference = Xc[r] - Zc[c]
            out[r, c] = np.einsum("ij,ij->i", difference, difference)
        return np.maximum(out, 0, out=out)


def euclidean(X: Array, Z: Array) -> Array:
    """Euclidean distances, (b, m), as `sq_euclidean`; at any scale, also where float64 cannot hold their squares."""
    with np.errstate(over="ignore", invalid="ignore"):
        center = Z.mean(axis=0, dtype=np.float64)
        top = max(largest(X - center), largest(Z - center)) if X.dtype == np.float64 else 1.0
        if top == 0 or squares_fit(top * top * X.shape[1], np.dtype(np.float64)):
            return np.sqrt(sq_euclidean(X, Z))
        e = exponent(top)
        return np.ldexp(np.sqrt(sq_euclidean(np.ldexp(X, -e), np.ldexp(np.asarray(Z, np.float64), -e))), e)
