"""What a benchmark hands back, and the table a person reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

HEAD = ("what", "measured", "budget", "")


class Skipped(Exception):
    """A benchmark that cannot run here; says why."""


class Budget(NamedTuple):
    """Where a value should lie; None leaves a side open."""

    low: float | None = None
    high: float | None = None

    def describe(self) -> str:
        """≤ 1.3, ≥ 0.6 or 0.95 … 1.05."""
        if self.low is None:
            return f"≤ {self.high:g}"
        if self.high is None:
            return f"≥ {self.low:g}"
        return f"{self.low:g} … {self.high:g}"

    def verdict(self, value: float) -> str:
        """`ok`, or by how much of the bound the value misses it."""
        if self.low is not None and value < self.low:
            return f"short by {(self.low - value) / self.low:.1%}"
        if self.high is not None and value > self.high:
            return f"over by {(value - self.high) / self.high:.1%}"
        return "ok"


class Line(NamedTuple):
    """One line of the table: a number, its budget if it has one, and what a reader should know of it."""

    what: str
    value: float
    unit: str = ""
    budget: Budget | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """`ok`, `short by …` or `over by …`; empty without a budget."""
        return self.budget.verdict(self.value) if self.budget else ""


@dataclass(frozen=True)
class Result:
    """Everything one benchmark measured. `raw` holds every sample (seconds, bytes, …) and the sizes it ran on."""

    name: str
    title: str
    lines: list[Line] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists, with the verdicts."""
        lines = [
            {
                "what": line.what,
                "value": line.value,
                "unit": line.unit,
                "budget": line.budget._asdict() if line.budget else None,
                "verdict": line.verdict,
                "note": line.note,
            }
            for line in self.lines
        ]
        return {"name": self.name, "title": self.title, "seconds": self.seconds, "lines": lines, "raw": self.raw}


def format_table(results: list[Result]) -> str:
    """All results as one aligned table, a title above the lines of each."""
    cells = [[_cells(line) for line in result.lines] for result in results]
    flat = [HEAD, *(row for rows in cells for row in rows)]
    wide = [max(len(row[column]) for row in flat) for column in range(3)]
    out = [_join(HEAD, wide)]
    for result, rows in zip(results, cells, strict=True):
        out += ["", f"{result.title}  [{result.seconds:.0f} s]", *(_join(row, wide) for row in rows)]
    return "\n".join(out)


def number(value: float) -> str:
    """Three or so significant digits without exponents, except for very small numbers."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if 0 < size < 1e-3:
        return f"{value:.1e}"
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"


def _cells(line: Line) -> tuple[str, str, str, str]:
    measured = f"{number(line.value)} {line.unit}".strip()
    budget = line.budget.describe() if line.budget else ""
    return f"  {line.what}", measured, budget, "  ".join(part for part in (line.verdict, line.note) if part)


def _join(row: tuple[str, str, str, str], wide: list[int]) -> str:
    return f"{row[0]:<{wide[0]}}  {row[1]:>{wide[1]}}  {row[2]:>{wide[2]}}  {row[3]}".rstrip()
