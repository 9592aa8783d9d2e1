"""A strategy's entry in the registry, and the registry itself.

A new strategy is one file in `strategies/`. Importing this module imports neither NumPy nor the strategies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from landmark_ops.registry import Registry

if TYPE_CHECKING:
    from landmark_ops.selection.landmarks import Landmarks
    from landmark_ops.selection.request import Request


@dataclass(frozen=True)
class Strategy:
    """One way of choosing landmarks.

    select
        Chooses `count` landmarks, for what a `Request` holds.
    passes
        How often it goes through all rows, for plans; those that read only the rows they need count one.
    compares_by
        What it compares rows by: nothing, a metric, a kernel, or either, a kernel where there is one.
    any_kernel
        Of those that compare by a metric: whether Euclidean distances do where a kernel's geometry is not known.
    takes_tolerance
        Whether it stops at a relative trace error, before `count` landmarks.
    takes_own
        Whether the landmarks are the user's own, as indices or points: then there is nothing to choose or compare.
    order
        Where it stands in lists that people read, the simplest first; those of one order by name.
    colour, mark
        How it is drawn, the same in every picture.
    """

    name: str
    select: Callable[[Request], Landmarks]
    passes: int
    compares_by: Literal["nothing", "metric", "kernel", "either"] = "nothing"
    any_kernel: bool = False
    takes_tolerance: bool = False
    takes_own: bool = False
    order: int = 100
    colour: str = "#1f2933"
    mark: str = "o"

    @property
    def needs_kernel(self) -> bool:
        """Whether it cannot do without a kernel."""
        return self.compares_by == "kernel"

    @property
    def by_kernel(self) -> bool:
        """Whether it uses a kernel where there is one."""
        return self.compares_by in ("kernel", "either")

    @property
    def by_metric(self) -> bool:
        """Whether it uses a metric where there is no kernel."""
        return self.compares_by in ("metric", "either")


STRATEGIES: Registry[Strategy] = Registry("strategy", "landmark_ops.selection.strategies")


def strategies() -> list[Strategy]:
    """All of them, in the order in which people read them."""
    return sorted(STRATEGIES, key=lambda one: (one.order, one.name))


def strategy_names() -> list[str]:
    """The names of `strategies`."""
    return [one.name for one in strategies()]
