"""Registries: each kind of thing by name, from the files of one folder."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest

from landmark_ops.errors import InputError
from landmark_ops.registry import Registry


class Toy(NamedTuple):
    name: str
    size: int = 0
    aliases: tuple[str, ...] = ()


@pytest.fixture
def toys(tmp_path, monkeypatch) -> Registry[Toy]:
    """A folder of two files, each of which registers one toy in the registry of the folder."""
    folder = tmp_path / "toybox"
    folder.mkdir()
    (folder / "__init__.py").write_text("entries = []\n")
    for name, size in (("train", 3), ("ball", 1)):
        (folder / f"{name}.py").write_text(f"from toybox import entries\nentries[0].register(Toy('{name}', {size}))\n")
    monkeypatch.syspath_prepend(tmp_path)
    import builtins

    monkeypatch.setattr(builtins, "Toy", Toy, raising=False)
    import toybox

    registry: Registry[Toy] = Registry("toy", "toybox")
    toybox.entries.append(registry)
    yield registry
    for name in [name for name in sys.modules if name.partition(".")[0] == "toybox"]:
        del sys.modules[name]


def test_entries_come_from_the_files_of_the_folder_in_order_of_names(toys):
    assert toys.names == ("ball", "train")
    assert [toy.size for toy in toys] == [1, 3]
    assert toys["train"].size == 3
    assert "ball" in toys
    assert "doll" not in toys


def test_an_unknown_name_is_answered_with_the_nearest(toys):
    with pytest.raises(InputError, match=r"^toy 'tran' is unknown: did you mean train\?$"):
        toys["tran"]
    with pytest.raises(InputError, match=r"^toy 'xylophone' is unknown: choose one of ball, train$"):
        toys["xylophone"]


def test_a_name_is_registered_once(toys):
    toys.register(Toy("kite"))
    with pytest.raises(ValueError, match="toy kite is registered twice"):
        toys.register(Toy("kite"))
    toys.unregister("kite")
    assert "kite" not in toys


def test_an_entry_is_found_by_its_aliases_and_listed_once(toys):
    toys.register(Toy("kite", aliases=("dragon", "flyer")))
    assert toys["dragon"] is toys["kite"]
    assert "flyer" in toys
    assert toys.names == ("ball", "kite", "train")
    with pytest.raises(InputError, match=r"did you mean dragon\?$"):
        toys["dragoon"]
    with pytest.raises(ValueError, match="toy dragon is registered twice"):
        toys.register(Toy("dragon"))
    toys.unregister("kite")
    assert "dragon" not in toys


def test_a_file_that_fails_is_named_each_time(toys, tmp_path):
    (tmp_path / "toybox" / "zebra.py").write_text(
        "from toybox import entries\nentries[0].register(Toy('zebra'))\nimport no_such_package\n"
    )
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_package"):
            toys["zebra"]
