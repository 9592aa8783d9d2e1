"""The types of estimators' parameters: those of their method's section, or a function in place of a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import Any, get_args

from landmark_ops.errors import InputError
from landmark_ops.solver.section import MethodSection


def check_parameters(parameters: Mapping[str, Any], section: type[MethodSection]) -> None:
    """InputError for a parameter that is of another type, or a count below 1.

    What range a number may lie in is said where it is used. Parameters that are no key of the section are the
    estimator's own.
    """
    for name, value in parameters.items():
        kinds = {int} if name == "n_landmarks" else types_of(section, name)
        if value is None and type(None) in kinds:
            continue
        if int in kinds:
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise InputError(f"{name}={value!r}: needs a whole number of at least 1")
            if value < 1:
                raise InputError(f"{name}={value}: at least 1 is needed")
        elif float in kinds and (not isinstance(value, Real) or isinstance(value, bool)):
            raise InputError(f"{name}={value!r}: needs a number")
        elif str in kinds and not (isinstance(value, str) or callable(value)):
            raise InputError(f"{name}={value!r}: needs a name or a function")
        elif dict in kinds and not isinstance(value, Mapping):
            raise InputError(f"{name}={value!r}: needs a dict of parameters by name")
        elif name == "selection" and (value is None or callable(value) or isinstance(value, Real)):
            raise InputError(f"selection={value!r}: needs the name of a strategy, row numbers (m,) or points (m, d)")


def types_of(section: type[MethodSection], name: str) -> set[Any]:
    """The types that a key of the section may have; none for what is no key."""
    field = section.model_fields.get(name)
    return set() if field is None else set(parts_of(field.annotation))


def parts_of(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is put together from, those of dicts alone without what is in them."""
    origin = getattr(annotation, "__origin__", None)
    if origin is dict or isinstance(annotation, type):
        yield origin or annotation
        return
    for part in get_args(annotation):
        yield from parts_of(part)
