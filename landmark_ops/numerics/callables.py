"""A user's own metric or kernel: called on blocks or on pairs of rows, and checked for the properties of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError

Array = NDArray[Any]
Callback = Callable[..., Any]

ASYMMETRY = 1e-5  # tolerance of the checks, relative to the largest value


def is_blockwise(fn: Callback, Z: Array, params: Mapping[str, Any]) -> bool:
    """Whether fn maps (b, d), (m, d) to (b, m); otherwise it is called on pairs of rows, as SciPy does."""
    probe = np.asarray(np.resize(Z, (3, Z.shape[1])), np.float64)
    try:
        shapes = [np.shape(fn(probe, probe[:2], **params)), np.shape(fn(probe[:1], probe[:1], **params))]
    except Exception:  # a pair function fails in its own way on matrices
        return False
    return shapes == [(3, 2), (1, 1)]


def call_blockwise(
    fn: Callback, blockwise: bool, X: Array, Z: Array, params: Mapping[str, Any], what: str = "metric"
) -> NDArray[np.float64]:
    """Evaluate a user's callable on a block, (b, m) float64; InputError where it gives something else than numbers."""
    X, Z = (np.asarray(A, np.float64).view() for A in (X, Z))
    X.flags.writeable = Z.flags.writeable = False  # the caller's own rows: a function that writes fails
    if blockwise:
        values = np.asarray(fn(X, Z, **params))
        if values.shape != (len(X), len(Z)):
            raise InputError(
                f"{what} callable: got shape {values.shape} for blocks of {len(X)} and {len(Z)} rows, needs "
                f"({len(X)}, {len(Z)}): return one number per pair of rows"
            )
        return real_numbers(values, what)
    pairs = np.empty((len(X), len(Z)))
    for i, x in enumerate(X):
        for j, z in enumerate(Z):
            value = np.asarray(fn(x, z, **params))
            if value.shape != ():
                raise InputError(
                    f"{what} callable: got shape {value.shape} for two rows, needs a single number; on two blocks "
                    f"(b, d) and (m, d) it does not give (b, m) either"
                )
            pairs[i, j] = real_numbers(value, what)
    return pairs


def check_callable(
    values: Array, fn: Callback, blockwise: bool, Z: Array, params: Mapping[str, Any], what: str
) -> None:
    """InputError where a user's callable is no metric or kernel, by its (m, m) values of landmarks Z (m, d).

    Metrics and kernels are symmetric, and a value depends on its two rows alone, not on others of the block; a metric
    is 0 between a row and itself.
    """
    top = float(np.abs(values).max())
    if not (np.isfinite(top) and top > 0):
        return
    apart = np.abs(values - values.T)
    if apart.max() > ASYMMETRY * top:
        i, j = np.unravel_index(apart.argmax(), apart.shape)
        raise InputError(
            f"{what} callable: gives {values[i, j]:.6g} between landmarks {i} and {j}, and {values[j, i]:.6g} between "
            f"{j} and {i}: it must be symmetric"
        )
    if what == "metric" and (own := float(np.abs(np.diagonal(values)).max())) > ASYMMETRY * top:
        raise InputError(
            f"metric callable: gives {own:.6g} between a row and itself, a metric gives 0: for similarities use a "
            "kernel method"
        )
    few = call_blockwise(fn, blockwise, Z[:1], Z, params, what)[0] if blockwise else values[0]
    if np.abs(few - values[0]).max() > ASYMMETRY * top:
        raise InputError(
            f"{what} callable: its values depend on the other rows of the block: each must be that of its two rows "
            "alone, as rows come in blocks of any size"
        )


def real_numbers(values: Array, what: str) -> NDArray[np.float64]:
    """A user's callable's result as float64; InputError for complex numbers, None and text."""
    if values.dtype.kind not in "fiub":
        raise InputError(f"{what} callable: gave {values.dtype}, needs real numbers")
    return np.asarray(values, np.float64)


def not_negative(distances: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    """Distances (b, m) as they are; InputError where some are negative, which paths and squares do not allow."""
    negative = int((distances < 0).sum())
    if negative:
        raise InputError(
            f"{what}: {negative} of {distances.size} distances are negative, the least is {distances.min():.3g}: a "
            "metric gives 0 or more; for similarities use a kernel method"
        )
    return distances
