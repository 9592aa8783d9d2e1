"""The content of a comparison's page, as data: the flow fills it, table, picture and page only read it."""

from __future__ import annotations

from dataclasses import dataclass

from landmark_ops.report.content import Stage


@dataclass(frozen=True)
class Trial:
    """One selection: a strategy, a number of landmarks and a seed, with its result.

    `error` is a fraction of 1, None where the strategy refused: `refused` then says why. `seconds` are those of
    the selection alone. `stress` and `evaluations` (of kernel or metric) are None where there are none. `note` is the
    strategy's own account.
    """

    strategy: str
    count: int
    seed: int
    error: float | None = None
    stress: float | None = None
    seconds: float | None = None
    evaluations: int | None = None
    note: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Floor:
    """An error that no choice of landmarks can come below, and its name."""

    name: str
    error: float


@dataclass(frozen=True)
class CompareReport:
    """Everything one comparison says.

    `measure` names the error, `meaning` says how it is defined and measured. `baseline` is the strategy that the
    configuration names, with which the others are compared.
    """

    title: str
    summary: str
    measure: str
    meaning: str
    baseline: str
    trials: list[Trial]
    floor: Floor | None
    stages: list[Stage]
    provenance: dict[str, str]
    warnings: list[str]
