"""Which models there are: the specs shipped with the package, and those of a user's own folder or files.

A user's spec has the same keys and stands beside its ONNX file; `LANDMARKS_MODEL_SPECS` names a spec file or a folder
of them (several separated by the path separator, `:`). A name given twice is an error, never an override: a table row
says which model made it, and the name has to mean one file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from landmark_ops.configs.plain_yaml import read_yaml
from landmark_ops.detectors.spec import ModelSpec, parse_spec
from landmark_ops.errors import InputError

SPECS_VARIABLE = "LANDMARKS_MODEL_SPECS"
SHIPPED = Path(__file__).with_name("specs")


def list_specs(extra: str | os.PathLike[str] | None = None) -> list[ModelSpec]:
    """Every known spec, sorted by name: the shipped ones, those of `LANDMARKS_MODEL_SPECS`, those of `extra`.

    `extra`: a spec file or a folder of spec files (*.yaml, *.yml). Raises InputError for a file that is no valid spec
    and for a name given twice.
    """
    found = {spec.name: (spec, "the shipped models") for spec in _shipped()}
    for path in _user_files(extra):
        spec = read_spec(path)
        if spec.name in found:
            raise InputError(
                f"model spec {path}: name {spec.name!r} is taken by {found[spec.name][1]}: give it another name"
            )
        found[spec.name] = (spec, str(path))
    return [found[name][0] for name in sorted(found)]


def get_spec(name: str, extra: str | os.PathLike[str] | None = None) -> ModelSpec:
    """The spec of this name; InputError listing the nearest names for an unknown one."""
    specs = {spec.name: spec for spec in list_specs(extra)}
    if name not in specs:
        near = get_close_matches(name, specs, 3, 0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known models: {', '.join(specs)}"
        raise InputError(f"model {name!r} is unknown: {hint} (or name your own spec file in {SPECS_VARIABLE})")
    return specs[name]


def read_spec(path: str | os.PathLike[str]) -> ModelSpec:
    """One spec file of a user's own; its `file` is meant relative to it. Only plain YAML is read.

    Raises InputError naming the file, the line or key, and the nearest valid key.
    """
    place = Path(path).expanduser().absolute()
    return parse_spec(read_yaml(place, "model spec"), f"model spec {path}", str(place.parent))


@cache
def _shipped() -> tuple[ModelSpec, ...]:
    return tuple(
        parse_spec(read_yaml(path, "model spec"), f"model spec {path}") for path in sorted(SHIPPED.glob("*.yaml"))
    )


def _user_files(extra: str | os.PathLike[str] | None) -> Iterator[Path]:
    named = [entry for entry in os.environ.get(SPECS_VARIABLE, "").split(os.pathsep) if entry.strip()]
    given = [(entry, SPECS_VARIABLE) for entry in named] + ([(os.fspath(extra), "model specs")] if extra else [])
    return _unique(path for entry, source in given for path in _files_of(Path(entry).expanduser(), source))


def _files_of(place: Path, source: str) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise InputError(f"{source}: {place} is neither a spec file nor a folder of them: check the path")
    files = sorted(path for path in place.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())
    if not files:
        raise InputError(f"{source}: {place} holds no .yaml file: name the folder that holds your model specs")
    return files


def _unique(paths: Iterable[Path]) -> Iterator[Path]:
    """A file named both by the environment and by argument counts once."""
    seen: set[Path] = set()
    for path in paths:
        if (real := path.resolve()) not in seen:
            seen.add(real)
            yield path
