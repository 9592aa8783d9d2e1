"""Mistakes in values of a user's file, in one line: the first that pydantic found, the others counted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from landmark_ops.wording import shown

if TYPE_CHECKING:
    from landmark_ops.registry import Registry


def first_mistake(
    error: ValidationError,
    model: type[BaseModel],
    hidden: Collection[str] = (),
    kinds: Registry[Any] | None = None,
) -> str:
    """One line for the first mistake in values of `model`; further ones are counted.

    `hidden`: fields that are no keys of the file. `kinds`: models that pydantic tells apart by name; it puts the chosen
    name into the path of a mistake, where people wrote none.
    """
    problems = error.errors()
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"] if kinds is None or part not in kinds)
    if first["type"] == "extra_forbidden":
        valid = sorted(set(keys_at(model, first["loc"][:-1], kinds)) - set(hidden))
        near = get_close_matches(str(first["loc"][-1]), valid, 1)
        hint = f"did you mean {near[0]}?" if near else f"valid here: {', '.join(valid)}"
        text = f"{where} is no known key: {hint}"
    elif first["type"] == "missing":
        text = f"{where} is missing"
    else:
        message = first["msg"].removeprefix("Value error, ")
        got = "" if first["type"] == "value_error" else f", got {shown(first['input'])}"
        text = ": ".join(part for part in (where, message[:1].lower() + message[1:]) if part) + got
    return text + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")


def keys_at(model: type[BaseModel], path: Sequence[int | str], kinds: Registry[Any] | None = None) -> list[str]:
    """The keys of the mapping at `path` within values of `model`."""
    for part in path:
        if isinstance(part, int):
            continue
        if kinds is not None and part in kinds:
            model = kinds[part]
        else:
            model = next(models_in(model.model_fields[part].annotation), model)
    return list(model.model_fields)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation names, at whatever depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)
