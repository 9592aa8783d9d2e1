"""Landmark sets: which points a keypoint table's rows hold, in order, and how they belong together.

A set is a file under `sets/`, or a user's own (set_file.py): names, lines (from which edges follow), flip pairs and,
where someone has measured them, the sigmas of object keypoint similarity. A composed set, such as the holistic 543,
names its parts instead of repeating them. Left and right are the subject's own. Nothing here knows of models or
pictures.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from landmark_ops.configs.plain_yaml import parse_yaml
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
