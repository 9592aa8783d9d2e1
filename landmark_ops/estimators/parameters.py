"""What parameters of estimators may be, by their names, which mean the same in all of them."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from landmark_ops.errors import InputError

#: Whole numbers and the least each may be.
COUNTS = {"n_components": 1, "n_landmarks": 1, "n_neighbors": 1, "n_clusters": 1, "n_weights": 1, "max_support": 1}
#: Numbers; what range they may lie in is said where they are used.
NUMBERS = ("gamma", "degree", "coef0", "nu", "t", "alpha", "regularization", "noise", "signal")
#: Those that may be left out, whatever the estimator makes of it.
OPTIONAL = ("gamma", "noise", "signal", "n_weights")


def check_parameters(parameters: Mapping[str, Any], optional: tuple[str, ...] = ()) -> None:
    """InputError for a parameter that is of another type, or a count that is too low. `optional` may also be None."""
    for name, value in parameters.items():
        if value is None and name in (*OPTIONAL, *optional):
            continue
        if name in COUNTS:
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise InputError(f"{name}={value!r}: needs a whole number of at least {COUNTS[name]}")
            if value < COUNTS[name]:
                raise InputError(f"{name}={value}: at least {COUNTS[name]} is needed")
        elif name in NUMBERS and (not isinstance(value, Real) or isinstance(value, bool)):
            raise InputError(f"{name}={value!r}: needs a number")
        elif name in ("metric", "kernel") and not (isinstance(value, str) or callable(value)):
            raise InputError(f"{name}={value!r}: needs a name or a function")
        elif name == "metric_params" and not (value is None or isinstance(value, Mapping)):
            raise InputError(f"metric_params={value!r}: needs a dict of parameters by name")
        elif name == "selection" and (value is None or callable(value) or isinstance(value, Real)):
            raise InputError(f"selection={value!r}: needs the name of a strategy, row numbers (m,) or points (m, d)")
