"""Landmark sets: which points a keypoint table's rows hold, in order, and how they belong together.

A set is a file under `sets/`, or a user's own: names, lines (from which edges follow), flip pairs and, where someone
has measured them, the sigmas of object keypoint similarity. A composed set, such as the holistic 543, names its parts
instead of repeating them. Left and right are the subject's own. Nothing here knows of models or pictures.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, ValidationError, model_validator

from landmark_ops.configs.plain_yaml import parse_yaml, read_yaml
from landmark_ops.errors import InputError

_FOLDER = "sets"


class LandmarkSet(NamedTuple):
    """K named points.

    edges: pairs of indices to join when drawing. flip: (K,) flip[i] is the point that i becomes in a mirrored picture;
    an involution. sigmas: (K,) of object keypoint similarity (OKS), None where unknown. parts: name of each part and
    the slice of points it covers; one, the set itself, unless composed.
    """

    name: str
    title: str
    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    flip: tuple[int, ...]
    sigmas: tuple[float, ...] | None
    parts: tuple[tuple[str, slice], ...]

    @property
    def size(self) -> int:
        """K, the number of points."""
        return len(self.names)


class Numbered(BaseModel):
    """Names of points that are only numbered: prefix0, prefix1 and so on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    prefix: str
    count: Annotated[int, Field(ge=1, le=100_000)]


class SetFile(BaseModel):
    """A landmark set of a user's own, as its file states it; immutable, unknown keys and other types refused.

    name: what rows will say. names: one per point, each different; or numbered. lines: runs of indices to join when
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
            raise ValueError("give either names: [a, b, …] or numbered: {prefix: p, count: 98}")
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
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            reason = f"is no known key: valid: {', '.join(SetFile.model_fields)}"
        elif first["type"] == "value_error":
            key, reason = "names", first["msg"].removeprefix("Value error, ")
        else:
            reason = f"{first['msg'][:1].lower()}{first['msg'][1:]}, got {str(first.get('input'))[:60]!r}"
        raise InputError(f"{where}: {key}: {reason}") from error
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


@lru_cache(maxsize=1)
def available() -> tuple[str, ...]:
    """Names of the sets there are, sorted."""
    folder = files(__package__).joinpath(_FOLDER)
    return tuple(sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")))


@lru_cache(maxsize=32)
def landmark_set(name: str) -> LandmarkSet:
    """The set of this name; `InputError` lists those there are."""
    if name not in available():
        near = difflib.get_close_matches(name, available(), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(
            f"landmark set {name!r} is not known: {hint}there are {', '.join(available())}, or name the YAML file of "
            "your own"
        )
    return build(name, _document(name))


def _document(name: str) -> dict[str, Any]:
    text = files(__package__).joinpath(_FOLDER, f"{name}.yaml").read_text("utf-8")
    document: dict[str, Any] = parse_yaml(text, f"landmark set {name}")
    return document


def build(name: str, document: Mapping[str, Any]) -> LandmarkSet:
    """A set from the content of its file. Raises `InputError` naming what does not hold together."""
    unknown = sorted(document.keys() - {"title", "parts", "names", "numbered", "lines", "flip", "sigmas"})
    if unknown:
        raise InputError(f"landmark set {name}: unknown key {unknown[0]!r}: remove it")
    names: list[str] = []
    edges: list[tuple[int, int]] = []
    flip: list[int] = []
    parts: list[tuple[str, slice]] = []
    listed = document.get("parts", [])
    pieces = [landmark_set(part["set"]) for part in listed]
    starts = np.cumsum([0, *(piece.size for piece in pieces)]).tolist()
    for at, (part, piece) in enumerate(zip(listed, pieces, strict=True)):
        prefix, mirror = part.get("prefix", ""), part.get("mirror", at)
        if pieces[mirror].size != piece.size or listed[mirror].get("mirror", mirror) != at:
            raise InputError(f"landmark set {name}: parts {at} and {mirror} are not each other's mirror image")
        names += [prefix + point for point in piece.names]
        edges += [(a + starts[at], b + starts[at]) for a, b in piece.edges]
        flip += [other + starts[mirror] for other in piece.flip]
        parts.append((prefix.rstrip("_") or piece.name, slice(starts[at], starts[at + 1])))
    names += _own_names(document)
    flip += range(len(flip), len(names))
    edges += _edges(name, document.get("lines", []), len(names))
    for a, b in document.get("flip", []):
        if not (0 <= a < len(names) and 0 <= b < len(names)):
            raise InputError(f"landmark set {name}: flip {[a, b]} leaves the {len(names)} points: number them from 0")
        flip[a], flip[b] = b, a
    if len(set(names)) != len(names):
        raise InputError(f"landmark set {name}: a name is given twice: name every point differently")
    if any(flip[other] != at for at, other in enumerate(flip)):
        raise InputError(f"landmark set {name}: flipping twice does not lead back: each point belongs to one pair")
    sigmas = document.get("sigmas")
    if sigmas is not None and len(sigmas) != len(names):
        raise InputError(f"landmark set {name}: {len(sigmas)} sigmas for {len(names)} points: give one per point")
    return LandmarkSet(
        name,
        document["title"],
        tuple(names),
        tuple(edges),
        tuple(flip),
        None if sigmas is None else tuple(float(sigma) for sigma in sigmas),
        tuple(parts) or ((name, slice(0, len(names))),),
    )


def convert(keypoints: NDArray[np.float64], source: str, target: str) -> NDArray[np.float64]:
    """Points (..., K, C) of one set as those (..., K', C) of another; `InputError` where no map is known."""
    return keypoints[..., point_map(source, target), :]


@lru_cache(maxsize=32)
def point_map(source: str, target: str) -> NDArray[np.int64]:
    """(K',) for each point of `target`, which point of `source` it is."""
    whole, wanted = landmark_set(source), landmark_set(target)
    if source == target:
        return np.arange(whole.size)
    known = {(entry["from"], entry["to"]): entry["take"] for entry in _maps()}
    for (start, end), take in known.items():
        if end != target:
            continue
        begin = _start_of(whole, start)
        if begin is not None:
            return np.asarray(take, np.int64) + begin
    begin = _start_of(whole, target)
    if begin is not None:
        return np.arange(wanted.size) + begin
    ways = ", ".join(sorted(f"{start} to {end}" for start, end in known))
    raise InputError(f"no map from {source} to {target} is known: known are {ways}, and from a set to its own parts")


def _start_of(whole: LandmarkSet, part: str) -> int | None:
    """Where the points of `part` begin in `whole`; None where it has no such part, or several."""
    if whole.name == part:
        return 0
    document = _document(whole.name)
    at = [i for i, entry in enumerate(document.get("parts", [])) if entry["set"] == part]
    return int(whole.parts[at[0]][1].start) if len(at) == 1 else None


@lru_cache(maxsize=1)
def _maps() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = parse_yaml(files(__package__).joinpath("maps.yaml").read_text("utf-8"), "maps")
    return entries


def _own_names(document: Mapping[str, Any]) -> list[str]:
    if "numbered" in document:
        numbered = document["numbered"]
        return [f"{numbered['prefix']}{i}" for i in range(numbered["count"])]
    return list(document.get("names", []))


def _edges(name: str, lines: Iterable[list[int]], count: int) -> list[tuple[int, int]]:
    edges = [(a, b) for line in lines for a, b in pairwise(line)]
    outside = [edge for edge in edges if min(edge) < 0 or max(edge) >= count]
    if outside:
        raise InputError(f"landmark set {name}: line {outside[0]} leaves the {count} points: number them from 0")
    return edges
