"""Paper and pens of the pictures: figures measured in inches, one style of axes, PNG bytes out.

Uses Figure and FigureCanvasAgg objects only: pyplot keeps global state and is slow to import. Layout is by hand for
the same reason: matplotlib's layout engines draw every figure twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from landmark_ops.report.numbers import show_compact, show_power

DPI = 150
WIDTH = 9.6  # inches: 1440 px, sharp at the 960 px the page gives a picture

INK = "#1f2933"
MUTED = "#52606d"
FAINT = "#d5dbe1"
BLUE = "#2563a8"
PALE_BLUE = "#9dbfe0"
GREY = "#8a97a5"
RED = "#c2362b"
ORANGE = "#e4572e"


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Make a white figure of so many inches."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes at a place in inches from the lower left corner, in the one style of all pictures.

    The place is rounded to whole pixels, so that an image of the axes' size is drawn pixel by pixel.
    """
    full = figure.get_size_inches() * DPI
    box = np.round(np.array([left, bottom, width, height]) * DPI) / np.tile(full, 2)
    axes = figure.add_axes((float(box[0]), float(box[1]), float(box[2]), float(box[3])))
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=MUTED, labelsize=8.5, length=3, width=0.8)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4 if width < 3 else 6, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: show_compact(value)))
        axis.set_minor_locator(NullLocator())
    return axes


def use_whole(axis: Axis) -> None:
    """Tick an axis of counts or ranks at whole numbers only, be there just one."""
    axis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def use_log(axes: Axes, which: str, low: float, high: float) -> None:
    """Make the "x" or "y" axis logarithmic over [low, high], ticked at powers of ten, at most seven of them."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / 7))
    axis.set_major_locator(FixedLocator([10.0**power for power in range(first, last + 1, step)]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: show_power(value)))
    axis.set_minor_locator(NullLocator())


def write_heading(axes: Axes, heading: str, notes: Sequence[str] = ()) -> None:
    """Write a bold heading above axes and up to two note lines under it: marks are explained there, never inside.

    Text above the axes can overlap no data, whatever the data are.
    """
    for line, note in enumerate(reversed(notes)):
        label(axes, note, (0, 1), (0, 6 + 13 * line), size=8.5, color=MUTED)
    label(axes, heading, (0, 1), (0, 8 + 13 * len(notes)), size=10.5, color=INK, weight="bold")


def label(axes: Axes, text: str, at: tuple[float, float], shift: tuple[float, float], **style: Any) -> None:
    """Write text at a fraction of the axes, shifted by points. Dollar signs stay dollar signs."""
    axes.annotate(
        text, at, xycoords="axes fraction", xytext=shift, textcoords="offset points", parse_math=False, **style
    )


def name_axes(axes: Axes, x: str, y: str) -> None:
    """Name both axes."""
    axes.set_xlabel(x, fontsize=9, color=INK, parse_math=False)
    axes.set_ylabel(y, fontsize=9, color=INK, parse_math=False)


def say_nothing_to_draw(axes: Axes, why: str) -> None:
    """Leave axes empty and say why."""
    axes.set_xticks([])
    axes.set_yticks([])
    label(axes, why, (0.5, 0.5), (0, 0), size=9.5, color=MUTED, ha="center", va="center")


def widen(low: float, high: float) -> tuple[float, float]:
    """Give a range some width where it has none, and replace one that is not finite by (0, 1)."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 1.0
    least = 1e-9 * max(abs(low), abs(high))
    if high - low > least:
        return low, high
    half = 0.5 if least == 0 else 0.05 * max(abs(low), abs(high))
    return low - half, high + half


def histogram(sample: NDArray[np.float64], bins: int = 48) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """Count finite values in equal bins over a range that a few far values cannot stretch.

    Returns counts (bins,), edges (bins + 1,) and how many values lie outside: beyond once the spread of the middle
    98 % on either side of it.
    """
    finite = sample[np.isfinite(sample)]
    low, high = np.quantile(finite, (0.01, 0.99)) if finite.size else (0.0, 1.0)
    reach = high - low
    if finite.size and reach > 0:
        low, high = max(low - reach, finite.min()), min(high + reach, finite.max())
    start, stop = widen(float(low), float(high))
    edges = np.linspace(start, stop, bins + 1)
    counts, _ = np.histogram(finite, edges)
    return counts.astype(np.int64), edges, int(finite.size - counts.sum())


def text_width(figure: Figure, text: str, size: float) -> float:
    """Measure a line of text, in inches."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    return float(renderer.get_text_width_height_descent(text, FontProperties(size=size), False)[0]) / DPI


def to_png(figure: Figure) -> bytes:
    """Render to PNG bytes; equal figures give equal bytes (no date, no version inside)."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 4})
    return buffer.getvalue()
