"""A landmark set of a user's own: its YAML file, checked."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, ValidationError, model_validator

from landmark_ops.configs.mistake import first_mistake
from landmark_ops.configs.plain_yaml import read_yaml
from landmark_ops.errors import InputError
from landmark_ops.keypoints.landmark_sets import LandmarkSet, available, build


class Numbered(BaseModel):
    """Names of points that are only numbered: prefix0, prefix1 and so on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    prefix: str
    count: Annotated[int, Field(ge=1, le=100_000)]


class SetFile(BaseModel):
    """A landmark set of a user's own, as its file states it; immutable, unknown keys and other types refused.

    name: as rows will have it. names: one per point, each different; or numbered. lines: runs of indices to join when
    drawing. flip: pairs of points that change places in a mirrored picture. sigmas: one per point, of object keypoint
    similarity.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    title: str = ""
    names: Annotated[tuple[Annotated[str, Field(min_length=1)], ...] | None, Field(min_length=1)] = None
    numbered: Numbered | None = None
    lines: tuple[Annotated[tuple[NonNegativeInt, ...], Field(min_length=2)], ...] = ()
    flip: tuple[tuple[NonNegativeInt, NonNegativeInt], ...] = ()
    sigmas: tuple[PositiveFloat, ...] | None = None

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if (self.names is None) == (self.numbered is None):
            raise ValueError("names: give either names: [a, b, …] or numbered: {prefix: p, count: 98}")
        return self


def read_set(path: Path) -> SetFile:
    """A landmark set of a user's own; its name is that of its file unless the key `name` says another.

    Raises InputError naming the file and what is wrong in it, and for the name of a shipped set.
    """
    data = read_yaml(path, "landmark set")
    return parse_set({"name": path.stem, **data} if isinstance(data, dict) else data, f"landmark set {path}")


def parse_set(data: Any, where: str) -> SetFile:
    """A checked set from the plain values of its file; `where` names that in messages.

    Raises InputError for values that are no set, and for the name of a shipped one.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where}: holds {type(data).__name__}, needs a mapping with names, lines, flip")
    try:
        own = SetFile.model_validate(_tuples(data))
    except ValidationError as error:
        raise InputError(f"{where}: {first_mistake(error, SetFile)}") from error
    if own.name in available():
        raise InputError(f"{where}: {own.name} is the name of a shipped set: give yours another, key name or file name")
    set_of(own)
    return own


@lru_cache(maxsize=32)
def set_of(own: SetFile) -> LandmarkSet:
    """The set that a file of a user's own states; InputError where it does not hold together."""
    return build(own.name, own.model_dump(exclude={"name"}, exclude_none=True) | {"title": own.title or own.name})


def _tuples(data: Any) -> Any:
    """YAML's lists as tuples, which strict models ask for."""
    if isinstance(data, list):
        return tuple(_tuples(each) for each in data)
    return {key: _tuples(value) for key, value in data.items()} if isinstance(data, dict) else data
