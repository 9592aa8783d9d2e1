"""Whatever the package imports is declared: what another package happens to bring goes when that one drops it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = ("landmark_ops", "flows", "pydantic_core")  # the last is pydantic's other half, which it pins to one version


def test_imports_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["convert"], *extras["dev"]]
    declared = {re.split(r"[\[<>=~! ]", one)[0].lower().replace("_", "-") for one in wanted}
    homes = packages_distributions()
    missing = set()
    for path in [*ROOT.glob("landmark_ops/**/*.py"), *ROOT.glob("flows/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top in sys.stdlib_module_names or top in OURS:
                    continue
                brought = {home.lower().replace("_", "-") for home in homes.get(top, [top])}
                if not brought & declared:
                    missing.add(f"{path.relative_to(ROOT)}: {name}")
    assert sorted(missing) == []
