"""Which pipelines there are: those of `pipelines.yaml`, and a user's own, each a YAML file of the same form."""

from __future__ import annotations

import os
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from landmark_ops.configs.mistake import first_mistake
from landmark_ops.configs.plain_yaml import read_yaml
from landmark_ops.detectors.pipeline_spec import Pipeline
from landmark_ops.errors import InputError
from landmark_ops.keypoints.set_file import read_set

SHIPPED = Path(__file__).with_name("pipelines.yaml")


def list_pipelines() -> list[Pipeline]:
    """The shipped pipelines, in the order of their file."""
    return list(_shipped().values())


def get_pipeline(name: str | os.PathLike[str]) -> Pipeline:
    """A shipped pipeline by name, or a user's own by the path of its YAML file; InputError lists the names."""
    text = os.fspath(name)
    if text.endswith((".yaml", ".yml")):
        return _own(Path(text).expanduser())
    shipped = _shipped()
    if text not in shipped:
        near = get_close_matches(text, shipped, 1, 0.6)
        hint = f"did you mean {near[0]}? There are " if near else "there are "
        raise InputError(f"pipeline {text!r} is unknown: {hint}{', '.join(shipped)}, or give a .yaml file of your own")
    return shipped[text]


@cache
def _shipped() -> dict[str, Pipeline]:
    data = read_yaml(SHIPPED, "pipelines")
    return {name: _parse({"name": name, **values}, f"pipeline {name}") for name, values in data.items()}


def _own(path: Path) -> Pipeline:
    where = f"pipeline {path}"
    data = read_yaml(path, "pipeline")
    if not isinstance(data, dict):
        raise InputError(f"{where}: holds {type(data).__name__}, needs a mapping with title, find, steps, …")
    if "own_set" in data:
        raise InputError(f"{where}: own_set is no key of a file: give landmark_set the path of your set's YAML file")
    named = data.get("landmark_set")
    if isinstance(named, str) and named.endswith((".yaml", ".yml")):
        own_set = read_set(path.parent / Path(named).expanduser())
        data |= {"landmark_set": own_set.name, "own_set": own_set}
    return _parse({"name": path.stem, **data}, where)


def _parse(data: dict[str, Any], where: str) -> Pipeline:
    try:
        parsed = Pipeline.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{where}: {first_mistake(error, Pipeline, hidden=('own_set',))}") from error
    try:
        points = parsed.points_set
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if points is not None and points.size != parsed.points:
        raise InputError(
            f"{where}: points is {parsed.points}, landmark set {points.name} has {points.size}: "
            "correct points, or name the set of your net's points, a YAML file of your own if none of ours is"
        )
    return parsed
