"""The `landmarks:` section of a config."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from landmark_ops.configs.choice import Choice
from landmark_ops.configs.section import Listed, Section
from landmark_ops.selection.strategy import STRATEGIES, strategies, strategy_names

StrategyName = Annotated[str, Choice(strategy_names)]


class LandmarksConfig(Section):
    """How landmarks are chosen. `count` left out: 1,000, or every row where there are fewer.

    `given` takes row numbers (indices), or an .npy file of points (m, d) or of row numbers (m,). `tolerance` lets
    rpcholesky choose how many, `count` at most (10,000 where left out). `add_to` names an earlier embedding whose
    landmarks are kept, and onto whose coordinates the new ones are turned.
    """

    count: PositiveInt | None = None
    strategy: StrategyName = "uniform"
    tolerance: Annotated[float, Field(gt=0, lt=1)] | None = None
    add_to: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    indices: Annotated[tuple[int, ...], Listed] | None = None
    points: str | None = None

    @model_validator(mode="after")
    def _strategy_takes_what_is_given(self) -> LandmarksConfig:
        if not self.model_fields_set & {"strategy", "tolerance", "indices", "points"}:
            return self  # and no strategy has to be imported
        strategy = STRATEGIES[self.strategy]
        given = (self.indices is not None) + (self.points is not None)
        if strategy.takes_own and given != 1:
            raise ValueError(f"strategy: {self.strategy} needs either indices: [row, ...] or points: file.npy")
        if given and not strategy.takes_own:
            own = " or ".join(one.name for one in strategies() if one.takes_own)
            raise ValueError(f"indices and points belong to strategy: {own}, not {self.strategy}")
        if self.tolerance is not None and not strategy.takes_tolerance:
            taking = " or ".join(one.name for one in strategies() if one.takes_tolerance)
            raise ValueError(f"tolerance belongs to strategy: {taking}, not {self.strategy}")
        return self
