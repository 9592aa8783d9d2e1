"""Reading a spec's parameters: the right type, or a message that names the key."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.instances import Parameters
from landmark_ops.errors import InputError


def number(parameters: Parameters, key: str, default: float | None = None) -> float:
    """The value at `key` as a float. Raises InputError where it is missing without a default, or no number."""
    value = parameters.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        got = "is missing" if value is None else f"is {value!r}"
        raise InputError(f"parameters.{key} {got}: the decoder needs one number")
    return float(value)


def count(parameters: Parameters, key: str) -> int:
    """The whole number at `key`.

    Raises InputError for a number that is not whole.
    """
    value = number(parameters, key)
    if value != int(value):
        raise InputError(f"parameters.{key} is {value}: the decoder needs a whole number")
    return int(value)


def numbers(parameters: Parameters, key: str) -> NDArray[np.float64]:
    """The list, or list of equally long lists, at `key`.

    Raises InputError for what is no such list.
    """
    value = parameters.get(key)
    try:
        return np.asarray(value, dtype=np.float64) if isinstance(value, list | tuple) else _refuse(key, value)
    except (TypeError, ValueError) as error:
        raise InputError(f"parameters.{key} is {value!r}: the decoder needs a list of numbers") from error


def whole_numbers(parameters: Parameters, key: str) -> list[int]:
    """The list of whole numbers at `key`."""
    return [int(value) for value in numbers(parameters, key).ravel()]


def choice(parameters: Parameters, key: str, valid: tuple[str, ...], default: str) -> str:
    """The word at `key`, one of `valid`.

    Raises InputError for any other.
    """
    value = parameters.get(key, default)
    if value not in valid:
        raise InputError(f"parameters.{key} is {value!r}: valid: {', '.join(valid)}")
    return str(value)


def _refuse(key: str, value: object) -> NDArray[np.float64]:
    got = "is missing" if value is None else f"is {value!r}"
    raise InputError(f"parameters.{key} {got}: the decoder needs a list of numbers")
