"""Whatever the packages import is declared: what another package happens to bring goes when that one drops it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = ("landmark_ops", "flows", "pydantic_core")  # the last is pydantic's other half, which it pins to one version

#: Files and folders that only run with an extra, and may import what it brings.
WITH_EXTRA = {"landmark_ops/detectors/tflite/": "convert", "flows/cli/demo_detect.py": "dev"}

#: Declared and imported nowhere: bounds of what Prefect brings, and the certificates of Dask's TLS.
UNIMPORTED = {"fastapi", "sqlalchemy", "cryptography"}

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names_of(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[\[<>=~! ]", one)[0]) for one in requirements}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imports() -> list[tuple[str, str]]:
    """Every file of ours with each top-level package of others that it imports, inside functions too."""
    found = []
    for path in [*ROOT.glob("landmark_ops/**/*.py"), *ROOT.glob("flows/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            tops = {name.partition(".")[0] for name in names}
            found += [(str(path.relative_to(ROOT)), top) for top in tops - set(OURS) - sys.stdlib_module_names]
    return found


def test_imports_are_declared_and_what_is_declared_is_imported() -> None:
    homes = packages_distributions()
    extras = PROJECT["optional-dependencies"]
    missing, used = set(), set()
    for path, top in imports():
        declared = names_of(PROJECT["dependencies"])
        for place, extra in WITH_EXTRA.items():
            if path.startswith(place):
                declared |= names_of(extras[extra])
        brought = {canonical(home) for home in homes.get(top, [top])}
        used |= brought
        if not brought & declared:
            missing.add(f"{path}: {top}")
    assert sorted(missing) == []
    assert names_of(PROJECT["dependencies"]) - used == UNIMPORTED
