"""The one picture of a comparison: error against number of landmarks, one line per strategy, named where it ends."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from landmark_ops.report import canvas
from landmark_ops.report.compare.content import CompareReport
from landmark_ops.report.compare.numbers import Cell, counts_of, show_error, table_of
from landmark_ops.report.numbers import show, show_power
from landmark_ops.selection.strategy import STRATEGIES

OTHER = (canvas.INK, "o")
HEIGHT = 5.6
LABEL_POINTS = 14.0  # between the centres of two labels
MOST_TICKS = 10


class Line(NamedTuple):
    """What is drawn of one strategy: its cells with a positive median, and where its label would stand (a fraction)."""

    name: str
    cells: list[Cell]
    at: float


def draw_errors(report: CompareReport) -> bytes:
    """Draw the medians over the seeds, joined, with their range as a band; both axes are logarithmic."""
    figure = canvas.new_figure(HEIGHT)
    width, height = canvas.WIDTH - 0.85 - 2.0, HEIGHT - 0.65 - 0.75
    axes = canvas.add_axes(figure, 0.85, 0.65, width, height)
    table, counts = table_of(report), counts_of(report)
    drawn = {name: [cell for cell in cells if cell.errors and cell.median > 0] for name, cells in table.items()}
    drawn = {name: cells for name, cells in drawn.items() if cells}
    hidden = sum(bool(cell.errors) for cells in table.values() for cell in cells) - sum(map(len, drawn.values()))
    notes = [" · ".join(filter(None, [describe_marks(drawn), f"{hidden} not above 0, not drawn" if hidden else ""]))]
    canvas.write_heading(axes, report.measure[:1].upper() + report.measure[1:], notes)
    canvas.name_axes(axes, "landmarks", report.measure)
    if not drawn:
        canvas.say_nothing_to_draw(axes, "no error above 0 was measured")
        return canvas.to_png(figure)
    low, high = set_scales(axes, drawn, counts, report)
    for name, cells in drawn.items():
        draw_line(axes, name, cells)
    labels = [Line(name, cells, place(cells[-1].median, low, high)) for name, cells in drawn.items()]
    write_labels(axes, labels, (width * 72, height * 72), report)
    if report.floor is not None and report.floor.error > 0:
        draw_floor(axes, report)
    return canvas.to_png(figure)


def describe_marks(drawn: dict[str, list[Cell]]) -> str:
    """What dots and bands are."""
    most = max((len(cell.errors) for cells in drawn.values() for cell in cells), default=0)
    return f"median of {most} seeds, band from least to largest" if most > 1 else ""


def set_scales(
    axes: Axes, drawn: dict[str, list[Cell]], counts: list[int], report: CompareReport
) -> tuple[float, float]:
    """Make both axes logarithmic; returns the limits of the error."""
    values = [value for cells in drawn.values() for cell in cells for value in (cell.median, cell.high)]
    values += [cell.low for cells in drawn.values() for cell in cells if cell.low > 0]
    if report.floor is not None and report.floor.error > 0:
        values.append(report.floor.error)
    spread = max(values) / min(values)
    pad = max(spread**0.06, 1.05)
    low, high = min(values) / pad, max(values) * pad
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    reach = max((counts[-1] / counts[0]) ** 0.04, 1.04)
    axes.set_xlim(counts[0] / reach, counts[-1] * reach)
    step = math.ceil(len(counts) / MOST_TICKS)
    axes.xaxis.set_major_locator(FixedLocator(counts[::-1][::step][::-1]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ticks = error_ticks(low, high)
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    powers = all(abs(math.log10(tick) - round(math.log10(tick))) < 1e-9 for tick in ticks)
    write = show_power if powers and len(ticks) > 2 else lambda value: show(value, 3)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color=canvas.FAINT, lw=0.6)
    return low, high


def error_ticks(low: float, high: float) -> list[float]:
    """Ticks of a log axis: powers of ten, 1-2-5 over few decades, equal steps over a narrow range."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1,), (1, 2, 5)):
        ticks = [f * 10.0**power for power in range(first, last + 1) for f in factors if low <= f * 10.0**power <= high]
        if len(ticks) >= 3:
            return ticks[:: math.ceil(len(ticks) / MOST_TICKS)]
    return [float(tick) for tick in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]


def place(value: float, low: float, high: float) -> float:
    """Where a value stands on the log axis, as a fraction of it."""
    return math.log(value / low) / math.log(high / low)


def look_of(name: str) -> tuple[str, str]:
    """Colour and mark of a strategy."""
    return (STRATEGIES[name].colour, STRATEGIES[name].mark) if name in STRATEGIES else OTHER


def draw_line(axes: Axes, name: str, cells: list[Cell]) -> None:
    """One strategy: a line through its medians, and a band or bar from its least to its largest error."""
    colour, mark = look_of(name)
    x = np.array([cell.landmarks for cell in cells])
    least = axes.get_ylim()[0]
    low = np.array([max(cell.low, least) for cell in cells])
    high = np.array([cell.high for cell in cells])
    if len(cells) == 1:
        axes.vlines(x, low, high, colors=colour, lw=2.5, alpha=0.35)
    else:
        axes.fill_between(x, low, high, color=colour, alpha=0.13, lw=0)
    medians = [cell.median for cell in cells]
    axes.plot(x, medians, color=colour, marker=mark, ms=5.5, mew=0.8, mec="white", lw=1.8, zorder=3)


def write_labels(axes: Axes, lines: list[Line], size: tuple[float, float], report: CompareReport) -> None:
    """Name each line at the right edge, with its last error; labels are pushed apart and tied to their line.

    `size`: width and height of the axes, in points.
    """
    ordered = sorted(lines, key=lambda line: line.at)
    places = spread_apart([line.at for line in ordered], LABEL_POINTS / size[1])
    right = axes.get_xlim()[1]
    for line, at in zip(ordered, places, strict=True):
        colour, _ = look_of(line.name)
        last = line.cells[-1]
        axes.annotate(
            f"{line.name}  {show_error(last.median)}",
            (1, at),
            xycoords="axes fraction",
            xytext=(16, 0),
            textcoords="offset points",
            va="center",
            size=9.5,
            color=colour,
            weight="bold" if line.name == report.baseline else "normal",
            parse_math=False,
            annotation_clip=False,
        )
        axes.plot([last.landmarks, right], [last.median] * 2, color=colour, lw=0.6, alpha=0.5)
        lead = 13 / size[0]
        axes.plot(
            [1, 1 + lead], [line.at, at], color=colour, lw=0.6, alpha=0.5, transform=axes.transAxes, clip_on=False
        )


def spread_apart(places: list[float], gap: float) -> list[float]:
    """Ascending places moved as little as needed to be `gap` apart, and within 0..1 while there is room."""
    out = list(places)
    for _ in range(200):
        moved = False
        for i in range(1, len(out)):
            lack = gap - (out[i] - out[i - 1])
            if lack > 1e-6:
                out[i - 1] -= lack / 2
                out[i] += lack / 2
                moved = True
        if out and out[0] < 0 and out[-1] < 1:
            out = [value - out[0] for value in out]
            moved = True
        if not moved:
            break
    return out


def draw_floor(axes: Axes, report: CompareReport) -> None:
    """A dashed line under which no landmarks can come."""
    assert report.floor is not None
    axes.axhline(report.floor.error, color=canvas.INK, lw=1.0, ls=(0, (4, 3)), zorder=1)
    axes.annotate(
        f"{report.floor.name}: {show_error(report.floor.error)}",
        (0, report.floor.error),
        xycoords=("axes fraction", "data"),
        xytext=(6, 4),
        textcoords="offset points",
        size=8.5,
        color=canvas.MUTED,
        parse_math=False,
    )
