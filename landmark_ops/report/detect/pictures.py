"""Pictures of a detection run: scores, sizes and failures, as PNG bytes by file name.

Draws counts as given: it bins nothing and sees no image.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes

from landmark_ops.report import canvas
from landmark_ops.report.detect.content import DetectReport
from landmark_ops.report.detect.numbers import ordered_reasons, score_edges, show_median, show_share
from landmark_ops.report.numbers import show_compact

HALF = canvas.WIDTH / 2  # the two histograms stand side by side


def draw_detect(report: DetectReport) -> dict[str, bytes]:
    """Draw every picture the report has data for: PNG bytes by file name, in the order of the page."""
    pictures = {"scores.png": draw_scores(report), "sizes.png": draw_sizes(report)}
    if report.failed:
        pictures["failures.png"] = draw_failures(report)
    return pictures


def draw_scores(report: DetectReport) -> bytes:
    """Draw how many instances have which score, over all of 0..1: an empty part below a threshold is seen as such."""
    figure = canvas.new_figure(3.0, HALF)
    axes = canvas.add_axes(figure, 0.7, 0.5, HALF - 0.9, 1.95)
    edges = score_edges(report.scores)
    counted = int(report.scores.sum())
    notes = [show_median(report.scores, edges), _left_out(report.instances - counted, "no score")]
    canvas.write_heading(axes, "Detection score", [" · ".join(filter(None, notes))])
    canvas.name_axes(axes, "score", "instances")
    if not counted:
        canvas.say_nothing_to_draw(axes, "no instance has a score" if report.instances else "no instances found")
        return canvas.to_png(figure)
    axes.stairs(report.scores, edges, fill=True, color=canvas.BLUE)
    axes.set_xlim(0, 1)
    _set_heights(axes, int(report.scores.max()))
    return canvas.to_png(figure)


def draw_sizes(report: DetectReport) -> bytes:
    """Draw how many instances are how large, one bar per doubling, from the first occupied bin to the last."""
    figure = canvas.new_figure(3.0, HALF)
    axes = canvas.add_axes(figure, 0.7, 0.5, HALF - 0.9, 1.95)
    counted = int(report.sizes.sum())
    median = show_median(report.sizes, report.size_edges, " px")
    canvas.write_heading(
        axes, "Size of instances", [" · ".join(filter(None, [median, _left_out(report.instances - counted, "no box")]))]
    )
    canvas.name_axes(axes, "longer side of the box, px", "instances")
    if not counted:
        canvas.say_nothing_to_draw(axes, "no instance has a box" if report.instances else "no instances found")
        return canvas.to_png(figure)
    occupied = np.flatnonzero(report.sizes)
    first, last = max(0, int(occupied[0]) - 1), min(report.sizes.size, int(occupied[-1]) + 2)
    places = np.arange(first, last + 1)  # bins are equal on a log2 axis; places, not logarithms: an edge may be 0
    axes.bar(places[:-1], report.sizes[first:last], width=1, align="edge", color=canvas.BLUE, edgecolor="white", lw=0.8)
    axes.set_xlim(first, last)
    ticks = places[:: math.ceil(len(places) / 9)]
    axes.set_xticks(ticks, [_show_edge(float(edge)) for edge in report.size_edges[ticks]])
    _set_heights(axes, int(report.sizes.max()))
    return canvas.to_png(figure)


def draw_failures(report: DetectReport) -> bytes:
    """Draw one bar per reason, the most frequent on top, with count and share of the failures beside it."""
    reasons = ordered_reasons(report)
    height = 0.75 + 0.36 * len(reasons)
    figure = canvas.new_figure(height)
    names = [reason.code if len(reason.code) <= 36 else reason.code[:35] + "…" for reason in reasons]
    notes = [f"{reason.count:,}   {show_share(reason.count, report.failed)}" for reason in reasons]
    left = 0.3 + max(canvas.text_width(figure, name, 9.5) for name in names)
    right = 0.3 + max(canvas.text_width(figure, note, 9) for note in notes)
    axes = canvas.add_axes(figure, left, 0.55, canvas.WIDTH - left - right, height - 0.65)
    counts = [reason.count for reason in reasons]
    rows = np.arange(len(reasons))
    axes.barh(rows, counts, height=0.62, color=canvas.RED)
    for row, note in enumerate(notes):
        at = (counts[row], row)
        axes.annotate(note, at, (5, 0), textcoords="offset points", va="center", size=9, color=canvas.INK)
    axes.set_yticks(rows, names, fontsize=9.5, color=canvas.INK, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(reasons) - 0.4, -0.6)
    axes.set_xlim(0, counts[0])
    canvas.use_whole(axes.xaxis)
    canvas.name_axes(axes, "images", "")
    return canvas.to_png(figure)


def _set_heights(axes: Axes, most: int) -> None:
    axes.set_ylim(0, 1.05 * most)
    canvas.use_whole(axes.yaxis)


def _left_out(count: int, why: str) -> str:
    return f"{count:,} with {why}" if count else ""


def _show_edge(edge: float) -> str:
    return "∞" if math.isinf(edge) else show_compact(edge)
