"""The `compare:` section of a config: what `landmarks compare` tries; `landmarks embed` ignores it.

The other strategies are compared with `landmarks.strategy`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from landmark_ops.configs.landmarks import StrategyName
from landmark_ops.configs.section import Listed, Section
from landmark_ops.selection.strategy import STRATEGIES


class CompareSection(Section):
    """Settings of a comparison, and how the error is measured.

    `strategies`: all that work for the method where left out. `counts`: numbers of landmarks, four of a series up to
    landmarks.count, each half the next, where left out. `rows`: how many rows, drawn uniformly, the error is measured
    on; landmarks are always chosen among all rows. `repeats`: seeds each strategy is run with, from landmarks.seed on.
    """

    strategies: Annotated[tuple[StrategyName, ...], Field(min_length=1), Listed] | None = None
    counts: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1), Listed] | None = None
    rows: Annotated[int, Field(ge=100)] = 50_000
    repeats: PositiveInt = 3

    @model_validator(mode="after")
    def _each_once(self) -> CompareSection:
        strategies, counts = self.strategies or (), self.counts or ()
        for name in strategies:
            if STRATEGIES[name].takes_own:
                raise ValueError(f"strategies: {name} has landmarks of its own, of one count: leave it out")
        for name, values in (("strategies", strategies), ("counts", counts)):
            twice = sorted({str(value) for value in values if list(values).count(value) > 1})
            if twice:
                raise ValueError(f"{name}: {twice[0]} is named more than once")
        return self
