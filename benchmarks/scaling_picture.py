"""The scaling picture: seconds and peak memory of a worker against the number of rows, one line per method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from landmark_ops.report import canvas

COLOURS = (canvas.BLUE, canvas.ORANGE, canvas.INK, canvas.RED)
HEIGHT, PANEL, SPACE = 3.6, (3.15, 2.35), 1.5  # inches: picture, axes, and between them, where lines are named
GAP = 0.07  # of the axes: names of lines that end together are so far apart
F64 = NDArray[np.float64]


class Point(NamedTuple):
    """One method on one number of rows."""

    rows: int
    seconds: float
    mib: float  # largest peak of a worker


def draw(found: Mapping[str, Sequence[Point]], notes: Sequence[str]) -> bytes:
    """Two log-log panels as PNG bytes; lines are named where they end. `notes`: one line under each heading."""
    figure = canvas.new_figure(HEIGHT)
    width, height = PANEL
    left = canvas.add_axes(figure, 0.7, 0.6, width, height)
    right = canvas.add_axes(figure, 0.7 + width + SPACE, 0.6, width, height)
    panel(left, {name: np.array([(one.rows, one.seconds) for one in line]) for name, line in found.items()})
    panel(right, {name: np.array([(one.rows, one.mib) for one in line]) for name, line in found.items()})
    canvas.write_heading(left, "Seconds, Zarr → Zarr", notes[:1])
    canvas.write_heading(right, "Peak memory of a worker, MiB", notes[1:2])
    canvas.name_axes(left, "rows", "s")
    canvas.name_axes(right, "rows", "MiB")
    return canvas.to_png(figure)


def panel(axes: Axes, lines: Mapping[str, F64]) -> None:
    """Lines of (x, y) points (p, 2), all positive, and their names."""
    every = np.concatenate(list(lines.values()))
    low, high = every.min(axis=0), every.max(axis=0)
    canvas.use_log(axes, "x", low[0] / 1.3, high[0] * 1.3)
    bottom, top = 10 ** np.floor(np.log10(low[1])), 10 ** np.ceil(np.log10(high[1] * 1.001))
    canvas.use_log(axes, "y", bottom, top)
    axes.grid(axis="y", color=canvas.FAINT, lw=0.6)
    for colour, line in zip(COLOURS, lines.values(), strict=False):
        axes.plot(line[:, 0], line[:, 1], "-o", color=colour, lw=1.8, ms=4, mew=0, clip_on=False)
    for end in {line[-1, 0] for line in lines.values()}:
        there = [
            (name, colour) for (name, line), colour in zip(lines.items(), COLOURS, strict=False) if line[-1, 0] == end
        ]
        shares = [float(np.log(lines[name][-1, 1] / bottom) / np.log(top / bottom)) for name, _ in there]
        for (name, colour), share in zip(there, apart(shares), strict=True):
            axes.annotate(
                name,
                (end, share),
                xycoords=("data", "axes fraction"),
                xytext=(7, 0),
                textcoords="offset points",
                color=colour,
                size=9,
                va="center",
                annotation_clip=False,
            )


def apart(places: Sequence[float]) -> list[float]:
    """Places at least GAP apart in the same order, moved as a whole as little as that takes."""
    order = np.argsort(places, kind="stable")
    wanted = np.asarray(places, float)[order]
    pushed = wanted.copy()
    for at in range(1, len(pushed)):
        pushed[at] = max(pushed[at], pushed[at - 1] + GAP)
    pushed -= float(np.mean(pushed - wanted))
    out = np.empty(len(pushed))
    out[order] = pushed
    return out.tolist()
