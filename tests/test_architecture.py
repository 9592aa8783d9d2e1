"""docs/architecture.md says where a new thing goes: its table is held against registries, its rooms against folders."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

from tests.test_layering import MODULES, ROOT, tree_of

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


class Found(NamedTuple):
    """A registry as the code has it: its name and the folder whose files register."""

    name: str
    folder: str


def registries() -> set[Found]:
    """Every `NAME = Registry(kind, package)` of the library."""
    found = set()
    for module in MODULES:
        for node in tree_of(module).body:
            target = node.target if isinstance(node, ast.AnnAssign) else None
            call = getattr(node, "value", None)
            if (
                isinstance(target, ast.Name)
                and isinstance(call, ast.Call)
                and getattr(call.func, "id", "") == "Registry"
            ):
                found.add(Found(target.id, ast.literal_eval(call.args[1]).replace(".", "/")))
    return found


def test_every_registry_is_in_the_table():
    rows = re.findall(r"^\| [^|]+ \| `(landmark_ops/\S+)/NAME\.py` \| `(\w+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) > 5
    assert {Found(name, folder) for folder, name in rows} == registries()


def test_entries_are_registered_by_files_of_their_folder():
    """So that a new one is one file: only files of the folder register, and each folder has some."""
    homes = {found.name: f"{found.folder}/" for found in registries()}
    seen: dict[str, set[str]] = {name: set() for name in homes}
    for module in MODULES:
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.Attribute) and node.attr == "register" and getattr(node.value, "id", "") in homes:
                seen[node.value.id].add(module)  # called, or used as a decorator
    for name, home in homes.items():
        assert seen[name], name
        assert {module for module in seen[name] if not module.startswith(home)} == set()


def test_places_of_the_page_exist():
    for place in re.findall(r"`((?:landmark_ops|flows|tests)/[\w/.]*)`", PAGE):
        assert (ROOT / place.replace("NAME.py", "").replace("NAME.yaml", "")).exists() or "/NAME/" in place, place
    rooms = {
        part for row in re.findall(r"^\| (`[^|]+/`) \|", PAGE, re.MULTILINE) for part in re.findall(r"`([\w/]+)/`", row)
    }
    assert {"stores", "numerics", "engine", "flows/base"} <= rooms
    for room in rooms:
        assert any((ROOT / base / room).is_dir() for base in ("", "landmark_ops", "flows")), room


def test_every_room_is_on_the_page():
    rooms = {path.name for path in (ROOT / "landmark_ops").iterdir() if (path / "__init__.py").exists()}
    rooms |= {path.name for path in (ROOT / "flows").iterdir() if (path / "__init__.py").exists()}
    assert {room for room in rooms if f"{room}/`" not in PAGE} == set()


def test_the_picture_names_rooms_that_exist():
    picture = Path(ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8")
    named = set(re.findall(r"\b((?:flows|stores|report)/\w+)", picture))
    assert named
    for place in named:
        base = ROOT if place.startswith("flows/") else ROOT / "landmark_ops"
        assert (base / place).is_dir() or (base / f"{place}.py").exists(), place
