"""All pictures of one report, as PNG bytes by file name: spectrum, coverage and timings here, the planes beside."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from landmark_ops.report import canvas
from landmark_ops.report.content import Coverage, EmbedReport, Stage
from landmark_ops.report.embed.density import draw_density
from landmark_ops.report.embed.outcomes import draw_outcome
from landmark_ops.report.embed.thumbnails import draw_thumbnails
from landmark_ops.report.numbers import (
    CoverageNumbers,
    SpectrumNumbers,
    coverage_numbers,
    show,
    show_percent,
    show_rate,
    show_seconds,
    spectrum_numbers,
)

FLOOR = 1e-10  # eigenvalues below this share of the largest magnitude are rounding: counted in words, not drawn
LOG_RANGE = 50.0  # magnitudes spread wider than this are drawn on a log axis
MANY = 40  # more eigenvalues or landmarks than this get a log rank axis: the first ones matter most


def draw_all(report: EmbedReport) -> dict[str, bytes]:
    """Draw every picture the report has data for: PNG bytes by file name, in the order of the page."""
    pictures = {"density.png": draw_density(report)} if report.densities else {}
    if report.outcome is not None:
        pictures["outcome.png"] = draw_outcome(report.outcome)
    if report.thumbnails is not None and len(report.thumbnails):
        pictures["thumbnails.png"] = draw_thumbnails(report, report.thumbnails)
    if report.spectrum is not None:
        pictures["spectrum.png"] = draw_spectrum(report)
    pictures["coverage.png"] = draw_coverage(report.coverage)
    pictures["timings.png"] = draw_timings(report.stages)
    return pictures


def draw_spectrum(report: EmbedReport) -> bytes:
    """Draw eigenvalues by rank, kept ones apart from the rest and negative ones, and the share that is kept."""
    numbers = spectrum_numbers(report)
    figure = canvas.new_figure(3.7)
    left = canvas.add_axes(figure, 0.8, 0.6, 4.7, 2.45)
    right = canvas.add_axes(figure, 6.45, 0.6, canvas.WIDTH - 6.7, 2.45)
    draw_eigenvalues(left, report, numbers.values)
    draw_share(right, report.kept, numbers)
    return canvas.to_png(figure)


def draw_eigenvalues(axes: Axes, report: EmbedReport, values: NDArray[np.float64]) -> None:
    """Draw eigenvalues by rank; over a wide range their magnitudes on a log axis, negative ones in their colour."""
    ranks = np.arange(1, values.size + 1)
    sizes = np.abs(values)
    top = float(sizes.max(initial=0))
    drawn = sizes > FLOOR * top
    groups = [
        (f"{min(report.kept, values.size):,} kept", canvas.BLUE, ranks <= report.kept, 4.5),
        ("rest", canvas.GREY, (ranks > report.kept) & (values >= 0), 2.6),
        ("negative", canvas.RED, (ranks > report.kept) & (values < 0), 2.6),
    ]
    hidden = int(values.size - drawn.sum())
    notes = [
        f"negative mass {show_percent(report.negative_mass)}"
        + (f"   {hidden:,} below {FLOOR:g} of the largest not drawn" if hidden and top else "")
    ]
    canvas.write_heading(axes, f"Eigenvalues of {report.spectrum_name}", notes)
    if not top:
        canvas.say_nothing_to_draw(axes, "all eigenvalues are zero" if values.size else "no finite eigenvalues")
        return
    logarithmic = top > LOG_RANGE * float(sizes[drawn].min())
    heights = sizes if logarithmic else values
    for name, colour, group, size in groups:
        at = group & drawn
        if at.any():
            axes.plot(ranks[at], heights[at], "o", color=colour, ms=size, mew=0, label=name)
    if logarithmic:
        canvas.use_log(axes, "y", float(sizes[drawn].min()) / 1.6, top * 1.8)
    else:
        axes.axhline(0, color=canvas.GREY, lw=0.8, zorder=0)
        axes.margins(y=0.12)
    set_rank_axis(axes, values.size)
    axes.legend(loc="best", fontsize=8.5, frameon=False, handletextpad=0.2, labelcolor=canvas.INK)
    canvas.name_axes(axes, "rank", "magnitude" if logarithmic else "eigenvalue")


def set_rank_axis(axes: Axes, count: int) -> None:
    """Set limits of an axis of ranks 1..count, logarithmic when there are many."""
    if count > MANY:
        canvas.use_log(axes, "x", 0.85, count * 1.15)
    else:
        axes.set_xlim(0.5 - 0.02 * count, count + 0.5 + 0.02 * count)
        canvas.use_whole(axes.xaxis)


def draw_share(axes: Axes, kept: int, numbers: SpectrumNumbers) -> None:
    """Draw the share of the positive eigenvalues' sum that the first i hold, kept ones filled."""
    held = f"{min(kept, numbers.values.size):,} kept hold {show_percent(numbers.kept_share)}"
    canvas.write_heading(axes, "Share of positive eigenvalues", [held])
    if not numbers.cumulative.size:
        canvas.say_nothing_to_draw(axes, "no positive eigenvalues")
        return
    ranks = np.arange(1, numbers.values.size + 1)
    percent = 100 * numbers.cumulative
    inside = ranks <= kept
    axes.plot(ranks, percent, "-", color=canvas.GREY, lw=1.6)
    axes.plot(ranks[inside], percent[inside], "-o", color=canvas.BLUE, lw=2, ms=3.5, mew=0)
    axes.set_ylim(0, 104)
    axes.set_yticks([0, 25, 50, 75, 100])
    set_rank_axis(axes, ranks.size)
    axes.grid(axis="y", color=canvas.FAINT, lw=0.6)
    canvas.name_axes(axes, "components", "%")


def draw_coverage(coverage: Coverage) -> bytes:
    """Draw distance to the nearest landmark, cell sizes and residuals of the sample, side by side."""
    numbers = coverage_numbers(coverage)
    figure = canvas.new_figure(3.55)
    near, cells, rest = (canvas.add_axes(figure, 0.7 + 3.1 * i, 0.6, 2.35, 2.1) for i in range(3))
    median, far = numbers.nearest.values
    draw_histogram(near, coverage.nearest, [(median, "-"), (far, "--")])
    notes = [f"━ median: {show(median, 3)}   ┅ 95 %: {show(far, 3)}", outside(coverage.nearest)]
    canvas.write_heading(near, "Distance to nearest landmark", notes)
    canvas.name_axes(near, coverage.distance_name, "sampled rows")
    draw_cells(cells, coverage.cell_sizes, numbers)
    low, _, high = numbers.residual.values
    draw_histogram(rest, coverage.residual, [(low, "--"), (high, "--")])
    notes = [f"┅ 1 %: {show(low, 3)}   99 %: {show(high, 3)}", outside(coverage.residual)]
    canvas.write_heading(rest, "Residual", notes)
    canvas.name_axes(rest, coverage.residual_name, "sampled rows")
    return canvas.to_png(figure)


def outside(sample: NDArray[np.float64]) -> str:
    """Say what a histogram leaves out, or an empty line."""
    undefined = int(sample.size - np.isfinite(sample).sum())
    beyond = canvas.histogram(sample)[2]
    parts = [f"{undefined:,} undefined"] * bool(undefined) + [f"{beyond:,} beyond the edges"] * bool(beyond)
    return ", ".join(parts)


def draw_histogram(axes: Axes, sample: NDArray[np.float64], marks: list[tuple[float, str]]) -> None:
    """Draw a histogram of the finite values with vertical marks (value, line style)."""
    counts, edges, _ = canvas.histogram(sample)
    if not counts.any():
        canvas.say_nothing_to_draw(axes, "undefined" if sample.size else "no rows sampled")
        return
    axes.stairs(counts, edges, fill=True, color=canvas.PALE_BLUE)
    for value, style in marks:
        axes.axvline(value, color=canvas.INK, lw=1.1, ls=style)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.05 * int(counts.max()))
    canvas.use_whole(axes.yaxis)


def draw_cells(axes: Axes, sizes: NDArray[np.int64], numbers: CoverageNumbers) -> None:
    """Draw cell sizes from the largest down, beside the size they would have if rows were shared evenly."""
    notes = [f"┅ even share: {show(numbers.even_share)}", f"{numbers.empty_cells:,} of {sizes.size:,} cells empty"]
    canvas.write_heading(axes, "Rows nearest to each landmark", notes)
    if not sizes.size:
        canvas.say_nothing_to_draw(axes, "no landmarks")
        return
    ordered = np.sort(sizes)[::-1]
    axes.stairs(ordered, np.arange(sizes.size + 1) + 0.5, fill=True, color=canvas.PALE_BLUE)
    axes.axhline(numbers.even_share, color=canvas.INK, lw=1.1, ls="--")
    axes.set_xlim(0.5, sizes.size + 0.5)
    axes.set_ylim(0, 1.05 * max(numbers.largest_cell, 1))
    canvas.use_whole(axes.yaxis)
    canvas.use_whole(axes.xaxis)
    canvas.name_axes(axes, "landmarks, largest cell first", "sampled rows")


def draw_timings(stages: list[Stage]) -> bytes:
    """Draw one bar per stage, first stage on top, with seconds and rows per second beside it."""
    height = 0.75 + 0.36 * max(len(stages), 1)
    figure = canvas.new_figure(height)
    names = [stage.name if len(stage.name) <= 36 else stage.name[:35] + "…" for stage in stages]
    notes = [f"{show_seconds(stage.seconds)}   {show_rate(stage).strip('–')}".rstrip() for stage in stages]
    left = 0.3 + max((canvas.text_width(figure, name, 9.5) for name in names), default=0.0)
    right = 0.3 + max((canvas.text_width(figure, note, 9) for note in notes), default=0.0)
    axes = canvas.add_axes(figure, left, 0.55, canvas.WIDTH - left - right, height - 0.65)
    if not stages:
        canvas.say_nothing_to_draw(axes, "no stages recorded")
        return canvas.to_png(figure)
    seconds = np.nan_to_num(np.array([stage.seconds for stage in stages], dtype=np.float64))
    rows = np.arange(len(stages))
    axes.barh(rows, seconds, height=0.62, color=canvas.BLUE)
    for row, note in enumerate(notes):
        at = (float(seconds[row]), row)
        axes.annotate(note, at, (5, 0), textcoords="offset points", va="center", size=9, color=canvas.INK)
    axes.set_yticks(rows, names, fontsize=9.5, color=canvas.INK, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(stages) - 0.4, -0.6)
    axes.set_xlim(0, max(float(seconds.max()), 1e-3))
    canvas.name_axes(axes, "seconds", "")
    return canvas.to_png(figure)
