"""Picture of the embedding itself: rows per cell over pairs of components, landmarks as dots.

Draws what it is given: it bins nothing, and a coarser grid is an exact sum of cells.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from numpy.typing import NDArray

from landmark_ops.report import canvas
from landmark_ops.report.content import Density, EmbedReport
from landmark_ops.report.numbers import show_compact, show_power

Limits = tuple[float, float, float, float]  # x0, x1, y0, y1

MAX_STRETCH = 4.0  # both axes share one unit unless the data are that many times wider than high, or higher than wide
MIN_CELL_PX = 2.0  # finer grids are summed: under one pixel single rows vanish, near it they are speckle
MIN_ROWS = 4.0  # and so are grids with fewer rows per occupied cell on average: dust shows no shape
MIN_CELLS = 48  # unless fewer cells than this would be left along a side


class Box(NamedTuple):
    """A place on the paper, inches from the lower left corner."""

    left: float
    bottom: float
    width: float
    height: float


def draw_density(report: EmbedReport) -> bytes:
    """Draw one panel per density, at least one, all in one logarithmic colour scale.

    Empty cells keep the colour of the paper, and the least colour differs from it clearly: one row is visible.
    """
    if len(report.densities) == 1 and is_line(report.densities[0]):
        return draw_line(report, report.densities[0])
    boxes, height = arrange(len(report.densities))
    limits = [limits_of(density, box) for density, box in zip(report.densities, boxes, strict=True)]
    grids = [coarsen(*panel) for panel in zip(report.densities, boxes, limits, strict=True)]
    top = max(int(grid.counts.max(initial=0)) for grid in grids)
    figure = canvas.new_figure(height)
    for grid, box, shown in zip(grids, boxes, limits, strict=True):
        axes = canvas.add_axes(figure, *box)
        paint(axes, grid, shown, colours(grid.counts, top))
        dot_landmarks(axes, report.landmarks, grid.components, size=9.0 if box.width > 4 else 4.0)
        canvas.name_axes(axes, *(f"component {component + 1}" for component in grid.components))
        if not grid.counts.any():
            canvas.say_nothing_to_draw(axes, "no rows with finite coordinates")
        if box is boxes[0]:
            note = "colour: rows per cell" if top > 1 else "each coloured cell: one row" if top else ""
            canvas.label(axes, note, (0, 1), (0, 7), size=9, color=canvas.MUTED)
            write_landmarks(axes, len(report.landmarks))
    if top > 1:
        draw_colour_bar(canvas.add_axes(figure, canvas.WIDTH - 0.68, 0.55, 0.13, height - 0.9), top)
    return canvas.to_png(figure)


def is_line(density: Density) -> bool:
    """Tell whether a density counts along one component only."""
    return density.counts.shape[0] == 1 or density.components[0] == density.components[1]


def arrange(count: int) -> tuple[list[Box], float]:
    """Place panels and say how high the figure is: three as one large and two small, others on a grid."""
    left, bottom, head, gap, usable = 0.8, 0.55, 0.35, 0.8, canvas.WIDTH - 1.68
    if count == 3:
        small = (usable - 2 * gap) / 3
        large = 2 * small + gap
        right = left + large + gap
        boxes = [
            Box(left, bottom, large, large),
            Box(right, bottom + small + gap, small, small),
            Box(right, bottom, small, small),
        ]
        return boxes, bottom + large + head
    columns = 1 if count == 1 else 2 if count in (2, 4) else 3
    rows = math.ceil(count / columns)
    width = (usable - gap * (columns - 1)) / columns
    high = min(width, 5.6)
    boxes = [
        Box(left + (i % columns) * (width + gap), bottom + (rows - 1 - i // columns) * (high + gap), width, high)
        for i in range(count)
    ]
    return boxes, bottom + rows * high + (rows - 1) * gap + head


def fit_limits(limits: Limits, box: Box) -> Limits:
    """Enlarge limits to the shape of a panel so that one unit is as long on both axes, where that is sensible."""
    x0, x1, y0, y1 = limits
    spread_x, spread_y = x1 - x0, y1 - y0
    if not 1 / MAX_STRETCH <= spread_x / spread_y <= MAX_STRETCH:
        return limits
    unit = max(spread_x / box.width, spread_y / box.height)
    grow_x, grow_y = (unit * box.width - spread_x) / 2, (unit * box.height - spread_y) / 2
    return x0 - grow_x, x1 + grow_x, y0 - grow_y, y1 + grow_y


def limits_of(density: Density, box: Box) -> Limits:
    """Limits of a panel that shows the whole of a density, no cell touching the frame."""
    x0, x1, y0, y1 = extent_of(density)
    pad_x, pad_y = 0.02 * (x1 - x0), 0.02 * (y1 - y0)
    return fit_limits((x0 - pad_x, x1 + pad_x, y0 - pad_y, y1 + pad_y), box)


def extent_of(density: Density) -> Limits:
    """Outer edges of a density, given some width where a component is constant."""
    return (*canvas.widen(*density.extent[:2]), *canvas.widen(*density.extent[2:]))


def coarsen(density: Density, box: Box, limits: Limits) -> Density:
    """Sum neighbouring cells until each covers MIN_CELL_PX pixels of its panel: no row is lost to resampling.

    Sums on while cells hold few rows, see MIN_ROWS. The last row and column may reach beyond the given extent,
    over zeros.
    """
    x0, x1, y0, y1 = extent_of(density)
    height, width = density.counts.shape
    inch_x, inch_y = box.width / (limits[1] - limits[0]), box.height / (limits[3] - limits[2])
    cell_x, cell_y = (x1 - x0) / width, (y1 - y0) / height
    by_x = math.ceil(MIN_CELL_PX / (cell_x * inch_x * canvas.DPI) - 1e-6)
    by_y = math.ceil(MIN_CELL_PX / (cell_y * inch_y * canvas.DPI) - 1e-6)
    counts = sum_blocks(density.counts, by_y, by_x)
    while min(counts.shape) >= 2 * MIN_CELLS and counts.sum() < MIN_ROWS * np.count_nonzero(counts):
        counts, by_y, by_x = sum_blocks(counts, 2, 2), 2 * by_y, 2 * by_x
    extent = (x0, x0 + cell_x * by_x * counts.shape[1], y0, y0 + cell_y * by_y * counts.shape[0])
    return Density(density.components, counts, extent)


def sum_blocks(counts: NDArray[np.int64], by_y: int, by_x: int) -> NDArray[np.int64]:
    """Sum blocks of by_y × by_x cells, (⌈H / by_y⌉, ⌈W / by_x⌉), padding with zeros."""
    height, width = counts.shape
    padded = np.pad(counts, ((0, -height % by_y), (0, -width % by_x)))
    blocks = padded.reshape(padded.shape[0] // by_y, by_y, padded.shape[1] // by_x, by_x)
    return np.asarray(blocks.sum(axis=(1, 3)))


def ramp(steps: int) -> NDArray[np.uint8]:
    """Colours from few rows to many, (steps, 4): viridis, whose dark end stands out from white paper."""
    table = colormaps["viridis"](np.linspace(0.0, 1.0, steps))
    return np.asarray(np.round(255 * table), dtype=np.uint8)


def colours(counts: NDArray[np.int64], top: int) -> NDArray[np.uint8]:
    """Colour of each cell by the logarithm of its count, (H, W, 4); empty cells are transparent.

    `top` is the count of the last colour. Two hundred colours by table cost a tenth of matplotlib's LogNorm.
    """
    scaled = np.log(np.maximum(counts, 1)) / max(math.log(max(top, 1)), 1e-9)
    rgba = ramp(256)[np.round(255 * scaled.clip(0, 1)).astype(np.intp)]
    rgba[counts == 0] = 0
    return rgba


def paint(axes: Axes, density: Density, limits: Limits, rgba: NDArray[np.uint8]) -> None:
    """Show a coloured grid at its extent, cells as sharp rectangles, within limits."""
    axes.imshow(rgba, extent=density.extent, origin="lower", interpolation="nearest", aspect="auto", zorder=0)
    axes.set_xlim(limits[0], limits[1])
    axes.set_ylim(limits[2], limits[3])


def dot_landmarks(axes: Axes, landmarks: NDArray[np.floating], components: tuple[int, int], *, size: float) -> None:
    """Mark landmarks by small dots, ink inside and paper around: visible on every colour. Many are drawn smaller."""
    places = landmarks[:, list(components)]
    places = places[np.isfinite(places).all(axis=1)]
    area = size * min(1.0, (200 / max(len(places), 1)) ** 0.75)
    axes.scatter(
        places[:, 0], places[:, 1], s=area, c=canvas.ORANGE, edgecolors="white", linewidths=0.12 * area**0.5, zorder=3
    )


def write_landmarks(axes: Axes, count: int) -> None:
    """Say above the axes, in the marks' own colour, what they are and how many."""
    canvas.label(axes, f"● {count:,} landmarks", (1, 1), (0, 7), size=9, color=canvas.ORANGE, ha="right")


def draw_colour_bar(axes: Axes, top: int) -> None:
    """Draw the scale from one row to `top` rows per cell, at least two, ticked at powers of ten and at the top."""
    high = math.log10(top)
    axes.imshow(ramp(256)[:, None], extent=(0, 1, 0, high), origin="lower", aspect="auto")
    steps = (1, 2, 5) if high < 2 else (1,)
    round_ticks = [step * 10**power for power in range(math.floor(high) + 1) for step in steps]
    ticks = [tick for tick in round_ticks if math.log10(tick) < 0.94 * high] + [top]
    names = [*map(show_power, ticks[:-1]), show_compact(float(f"{top:.4g}" if top < 10_000 else f"{top:.3g}"))]
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks([math.log10(tick) for tick in ticks], names)
    axes.spines[["left", "bottom"]].set_visible(False)


def draw_line(report: EmbedReport, density: Density) -> bytes:
    """Draw an embedding of one component as a histogram, landmarks as ticks under it."""
    counts = density.counts.sum(axis=0)
    x0, x1 = canvas.widen(*density.extent[:2])
    figure = canvas.new_figure(3.6)
    axes = canvas.add_axes(figure, 0.75, 0.6, canvas.WIDTH - 1.0, 2.55)
    axes.stairs(counts, np.linspace(x0, x1, counts.size + 1), fill=True, color=canvas.BLUE)
    places = report.landmarks[:, density.components[0]]
    places = places[np.isfinite(places)]
    high = max(float(counts.max(initial=0)), 1.0)
    axes.vlines(places, -0.07 * high, -0.02 * high, colors=canvas.ORANGE, linewidths=0.6)
    axes.set_xlim(x0, x1)
    axes.set_ylim(-0.09 * high, 1.05 * high)
    canvas.use_whole(axes.yaxis)
    canvas.name_axes(axes, f"component {density.components[0] + 1}", "rows per cell")
    write_landmarks(axes, len(report.landmarks))
    return canvas.to_png(figure)
