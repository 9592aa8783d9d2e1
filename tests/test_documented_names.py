"""Where docs list what there is by name, they list all of it: a new method, kernel or strategy is not forgotten."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from landmark_ops import select_landmarks
from landmark_ops.numerics.kernel import KERNELS
from landmark_ops.selection.strategy import STRATEGIES
from landmark_ops.solver.section import METHODS

DOCS = Path(__file__).parents[1] / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text(encoding="utf-8")
CHOICES = (DOCS / "methods.md").read_text(encoding="utf-8")


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    assert match is not None, f"no text like {pattern}"
    return match[1]


def test_the_strategies_of_the_configuration() -> None:
    listed = found(r"^\| `strategy` \| `uniform` \| (.*?): \[which\]", CONFIGURATION)
    assert sorted(re.findall(r"`(\w+)`", listed)) == list(STRATEGIES.names)


def test_the_strategies_to_choose_from() -> None:
    table = found(r"^## Landmarks\n(.*?)^## ", CHOICES)
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == list(STRATEGIES.names)


def test_the_strategies_of_select_landmarks() -> None:
    listed = found(r"strategy: (.*?)kernel: ", inspect.getdoc(select_landmarks) or "")
    assert set(STRATEGIES.names) <= set(re.findall(r"\w+", listed))


def test_the_kernels_of_the_configuration() -> None:
    listed = found(r"^Kernel methods take `kernel` (.*?), `gamma`", CONFIGURATION)
    assert sorted(re.split(r", | or ", listed)) == list(KERNELS.names)


def test_the_methods_of_the_configuration() -> None:
    section = found(r"^## method, or methods\n(.*?)^## ", CONFIGURATION)
    assert sorted(re.findall(r"^(?:- )?`(\w+)`(?: \(default\))?: ", section, re.MULTILINE)) == list(METHODS.names)


def test_the_methods_to_choose_from() -> None:
    table = found(r"^\| you want \|.*?\n(.*?)\n\n", CHOICES)
    assert sorted(re.findall(r"^\| [^|]+ \| `(\w+)` \|", table, re.MULTILINE)) == list(METHODS.names)
