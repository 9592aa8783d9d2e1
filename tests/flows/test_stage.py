"""Stages: what they are handed is theirs alone, and a flow holds nothing that cannot be sent to a worker."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect import flow

from flows.base.launch import followed
from flows.base.progress import Progress
from flows.base.stage import stage


class Untouchable:
    """Fails under anything that Prefect might do to an argument."""

    def __iter__(self) -> Any:
        raise AssertionError("iterated")

    def __reduce__(self) -> Any:
        raise AssertionError("pickled")

    def __hash__(self) -> int:
        raise AssertionError("hashed")

    def __repr__(self) -> str:
        raise AssertionError("shown")

    def __deepcopy__(self, memo: Any) -> Any:
        raise AssertionError("copied")


class Watched(list[Any]):
    """A list that is not to be walked through: a run over many shards carries hundreds of thousands."""

    def __iter__(self) -> Any:
        raise AssertionError("walked through")


@dataclass
class Holder:
    """As a Run holds what its stages share."""

    thing: Untouchable
    shards: Watched = field(default_factory=lambda: Watched([1, 2, 3]))


@stage("twice")
def twice(run: Holder, count: int, *, plus: Holder | None = None) -> tuple[Holder, int]:
    """The run itself, and the double."""
    assert plus is None or plus is run
    return run, 2 * count


def test_a_stage_gets_the_very_objects_it_is_called_with() -> None:
    run, seen = Holder(Untouchable()), []

    @flow(name="around", persist_result=False)
    def around(count: int) -> None:
        seen.append(twice(run, count, plus=run))

    around(21)
    assert seen[0][0] is run
    assert seen[0][1] == 42


def test_a_stage_runs_without_a_flow() -> None:
    assert twice.fn(Holder(Untouchable()), 21)[1] == 42
    assert twice.__doc__ == "The run itself, and the double."


def test_a_followed_flow_is_the_same_flow_to_prefect() -> None:
    @flow(name="plain", persist_result=False)
    def plain(config: int) -> dict[str, Any]:
        """What it does."""
        return {"progress": None}

    progress = Progress()
    mine = followed(plain, lambda config: {"config": config, "progress": progress})
    assert mine("3") == {"config": 3, "progress": progress}  # type: ignore[arg-type]  # parameters are still checked
    assert plain(3) == {"progress": None}
    assert (mine.name, mine.description, mine.parameters) == (plain.name, plain.description, plain.parameters)


def test_no_flow_hides_its_run_in_a_context_variable() -> None:
    """A runner pickles a flow with its module's globals, and a context variable cannot be pickled."""
    for path in (Path(__file__).parents[2] / "flows").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        assert "contextvars" not in {node.module for node in nodes if isinstance(node, ast.ImportFrom)}, path.name
