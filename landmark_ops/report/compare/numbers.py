"""The numbers of a comparison as table, picture and page show them alike, and the advice they support."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from landmark_ops.report.compare.content import CompareReport, Trial
from landmark_ops.report.numbers import show, show_seconds

SEEDS_NEEDED = 3  # with fewer seeds their spread is unknown, and nothing is advised
CLEARLY = 0.9  # of the baseline's error: a smaller gain is not worth another strategy
NEARLY = 1.05  # of the least error: landmarks beyond it gain little


class Cell(NamedTuple):
    """All seeds of one strategy at one number of landmarks: median and range of the error, median of the others.

    `refused` says why a seed has no error, and is empty where all have one.
    """

    strategy: str
    landmarks: int
    errors: tuple[float, ...]
    seconds: float | None
    stress: float | None
    evaluations: int | None
    refused: str

    @property
    def median(self) -> float:
        """Median error, NaN without any."""
        return float(np.median(self.errors)) if self.errors else float("nan")

    @property
    def low(self) -> float:
        """Least error."""
        return min(self.errors, default=float("nan"))

    @property
    def high(self) -> float:
        """Largest error."""
        return max(self.errors, default=float("nan"))


def cell_of(trials: list[Trial], strategy: str, count: int) -> Cell:
    """The trials of one strategy at one count together."""
    own = [trial for trial in trials if (trial.strategy, trial.count) == (strategy, count)]
    done = [trial for trial in own if trial.error is not None]

    def median(values: list[float | int | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.median(known)) if known else None

    evaluations = median([trial.evaluations for trial in done])
    return Cell(
        strategy,
        count,
        tuple(trial.error for trial in done if trial.error is not None),
        median([trial.seconds for trial in done]),
        median([trial.stress for trial in done]),
        None if evaluations is None else round(evaluations),
        next((trial.refused for trial in own if trial.refused), ""),
    )


def counts_of(report: CompareReport) -> list[int]:
    """The numbers of landmarks, ascending."""
    return sorted({trial.count for trial in report.trials})


def table_of(report: CompareReport) -> dict[str, list[Cell]]:
    """Cells by strategy, one per count, ascending: the strategy of least error at the largest count first.

    Strategies without errors at the largest count come after those with, and those without any last.
    """
    counts = counts_of(report)
    names = list(dict.fromkeys(trial.strategy for trial in report.trials))
    table = {name: [cell_of(report.trials, name, count) for count in counts] for name in names}

    def rank(name: str) -> tuple[float, ...]:
        return tuple(cell.median if cell.errors else np.inf for cell in reversed(table[name]))

    return {name: table[name] for name in sorted(names, key=rank)}


def best_of(table: dict[str, list[Cell]]) -> dict[int, str]:
    """The strategy of least median error at each count where any has one."""
    best: dict[int, Cell] = {}
    for cells in table.values():
        for cell in cells:
            if cell.errors and (cell.landmarks not in best or cell.median < best[cell.landmarks].median):
                best[cell.landmarks] = cell
    return {count: cell.strategy for count, cell in best.items()}


def refusals_of(table: dict[str, list[Cell]]) -> list[tuple[str, str, str]]:
    """(strategy, at how many landmarks, why), one line for each reason."""
    lines: dict[tuple[str, str], list[int]] = {}
    for name, cells in table.items():
        for cell in cells:
            if cell.refused:
                lines.setdefault((name, cell.refused), []).append(cell.landmarks)
    everywhere = {name: [cell.landmarks for cell in cells] for name, cells in table.items()}
    return [
        (name, "all" if counts == everywhere[name] and len(counts) > 1 else ", ".join(f"{m:,}" for m in counts), why)
        for (name, why), counts in lines.items()
    ]


def show_error(value: float) -> str:
    """Write an error to three digits, zeros at its end included: columns of them compare at a glance."""
    if value < 0:
        return "−" + show_error(-value)
    if not 1e-4 <= value < 1e3:
        return show(value, 3)
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def show_range(cell: Cell) -> str:
    """Least to largest error over the seeds; empty for one seed."""
    return f"{show_error(cell.low)} – {show_error(cell.high)}" if len(cell.errors) > 1 else ""


def advice(report: CompareReport) -> list[str]:
    """Advice that the numbers support, in sentences; empty where there is none, as with fewer than three seeds."""
    table = table_of(report)
    sure = [cell for cells in table.values() for cell in cells if len(cell.errors) >= SEEDS_NEEDED]
    own = [cell for cell in sure if cell.strategy == report.baseline]
    others = [cell for cell in sure if cell.strategy != report.baseline]
    return against(own, others) + enough(sure)


def cheapest(cells: list[Cell]) -> Cell:
    """The quickest selection among the cells of fewest landmarks; the least error decides between equals."""
    fewest = min(cell.landmarks for cell in cells)
    return min(
        (cell for cell in cells if cell.landmarks == fewest),
        key=lambda cell: (np.inf if cell.seconds is None else cell.seconds, cell.median),
    )


def against(own: list[Cell], others: list[Cell]) -> list[str]:
    """The other strategies against the baseline: the same with fewer landmarks, better with as many, or neither."""
    if not own or not others:
        return []
    most = own[-1]
    fewer = [cell for cell in others if cell.landmarks < most.landmarks and cell.high <= most.median]
    if fewer:
        found = cheapest(fewer)
        return [
            f"{found.strategy} with {found.landmarks:,} landmarks is as good as {most.strategy} with "
            f"{most.landmarks:,}: {show_error(found.median)} against {show_error(most.median)}.{cost(found, most)}"
        ]
    same = [cell for cell in others if cell.landmarks == most.landmarks]
    better = [cell for cell in same if cell.high < most.low and cell.median <= CLEARLY * most.median]
    if better:
        least = min(cell.median for cell in better)
        found = cheapest([cell for cell in better if cell.median <= NEARLY * least])
        return [
            f"With {most.landmarks:,} landmarks {found.strategy} leaves {found.median / most.median:.0%} of the error "
            f"that {most.strategy} leaves: {show_error(found.median)} against {show_error(most.median)}."
            f"{cost(found, most)}"
        ]
    ours = {cell.landmarks: cell for cell in own}
    if any(cell.high < ours[cell.landmarks].low for cell in others if cell.landmarks in ours):
        return []
    return [
        f"No other strategy is better than {most.strategy} by more than the spread over seeds, at any number of "
        "landmarks."
    ]


def cost(found: Cell, instead: Cell) -> str:
    """The cost of the selection, where both are known."""
    if found.seconds is None or instead.seconds is None:
        return ""
    return f" Selection takes {show_seconds(found.seconds)} instead of {show_seconds(instead.seconds)}."


def enough(sure: list[Cell]) -> list[str]:
    """The smallest number of landmarks that does as well as the largest, where more gain little."""
    if not sure:
        return []
    least = min(sure, key=lambda cell: cell.median)
    largest = max(cell.landmarks for cell in sure)
    near = [cell for cell in sure if cell.landmarks < largest and cell.high <= NEARLY * least.median]
    if not near or not least.median > 0:
        return []
    found = cheapest(near)
    return [
        f"More landmarks gain little: {found.strategy} with {found.landmarks:,} is within {NEARLY - 1:.0%} of the "
        f"least error found, {show_error(found.median)} against {show_error(least.median)}."
    ]
