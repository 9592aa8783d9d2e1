"""The picture of a method's outputs per row: clusters, predicted values, classes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from landmark_ops.report import canvas
from landmark_ops.report.content import Classified, Clustered, Predicted
from landmark_ops.report.numbers import show, show_percent

#: Ten hues that stay apart for most colour-blind readers (Tol's bright and muted sets); further clusters repeat them.
HUES = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#999933", "#882255", "#44aa99", "#bbbbbb",
)  # fmt: skip
MOST_BARS = 40
MOST_CLASSES = 30


def draw_outcome(outcome: Clustered | Predicted | Classified) -> bytes:
    """Draw an outcome of any kind."""
    if isinstance(outcome, Clustered):
        return draw_clusters(outcome)
    return draw_predictions(outcome) if isinstance(outcome, Predicted) else draw_classes(outcome)


def dot_size(count: int) -> float:
    """Points across of a dot where so many are drawn."""
    return 5.0 if count <= 2000 else 2.5


def draw_clusters(found: Clustered) -> bytes:
    """Draw sampled rows by cluster over two components, each cluster's number at its middle, and the sizes of all."""
    figure = canvas.new_figure(4.6)
    plane = canvas.add_axes(figure, 0.7, 0.6, 4.6, 3.4)
    sizes = canvas.add_axes(figure, 6.2, 0.6, canvas.WIDTH - 6.5, 3.4)
    canvas.write_heading(plane, "Sampled rows by cluster", [f"{len(found.points):,} rows"])
    placed = np.isfinite(found.points).all(axis=1) & (found.labels >= 0)
    for cluster in range(len(found.sizes)):
        inside = found.points[placed & (found.labels == cluster)]
        if not len(inside):
            continue
        plane.plot(
            *inside.T,
            ".",
            ms=dot_size(len(found.points)),
            mew=0,
            alpha=0.6,
            color=HUES[cluster % len(HUES)],
            rasterized=True,
        )
    for cluster in range(min(len(found.sizes), MOST_BARS)):
        inside = found.points[placed & (found.labels == cluster)]
        if len(inside):
            middle = np.median(inside, axis=0)
            box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": HUES[cluster % len(HUES)], "alpha": 0.85}
            plane.annotate(f"{cluster}", middle, ha="center", va="center", size=8.5, color=canvas.INK, bbox=box)
    x, y = found.components
    canvas.name_axes(plane, f"component {x + 1}", f"component {y + 1}")
    shown = found.sizes[:MOST_BARS]
    left_out = len(found.sizes) - len(shown)
    note = f"{int(found.sizes.sum()):,} rows in {len(found.sizes):,} clusters" + (
        f", the first {MOST_BARS} shown" if left_out else ""
    )
    canvas.write_heading(sizes, "Rows in each cluster", [note])
    at = np.arange(len(shown))
    sizes.barh(at, shown, height=0.7, color=[HUES[i % len(HUES)] for i in at])
    sizes.set_ylim(len(shown) - 0.4, -0.6)
    canvas.use_whole(sizes.yaxis)
    canvas.name_axes(sizes, "rows", "cluster")
    return canvas.to_png(figure)


def draw_predictions(found: Predicted) -> bytes:
    """Draw predictions against targets of rows held out, and how errors compare with the errors predicted."""
    figure = canvas.new_figure(4.3)
    left = canvas.add_axes(figure, 0.8, 0.6, 3.9, 3.1)
    right = canvas.add_axes(figure, 5.7, 0.6, canvas.WIDTH - 6.0, 3.1)
    canvas.write_heading(left, "Prediction against target", [f"{len(found.target):,} sampled rows, none learned from"])
    if not len(found.target):
        canvas.say_nothing_to_draw(left, "no rows were held out")
        canvas.say_nothing_to_draw(right, "no rows were held out")
        return canvas.to_png(figure)
    both = np.concatenate([found.target, found.prediction])
    low, high = canvas.widen(float(both.min()), float(both.max()))
    left.plot([low, high], [low, high], "-", color=canvas.GREY, lw=1)
    left.plot(
        found.target,
        found.prediction,
        ".",
        ms=dot_size(len(found.target)),
        mew=0,
        alpha=0.5,
        color=canvas.BLUE,
        rasterized=True,
    )
    canvas.name_axes(left, "target", "prediction")
    error = found.prediction - found.target
    if found.std is None:
        canvas.write_heading(right, "Errors", [f"root mean square {show(float(np.sqrt((error**2).mean())), 3)}"])
        _draw_errors(right, error, normal=False)
        canvas.name_axes(right, "prediction − target", "rows")
        return canvas.to_png(figure)
    z = error / found.std
    within = [f"{show_percent(float((np.abs(z) < reach).mean()))} within {reach}" for reach in (1, 2)]
    notes = [f"{', '.join(within)} std", "the curve, 68.3 % and 95.4 %, is what normal errors would have"]
    canvas.write_heading(right, "Errors in units of the predicted std", notes)
    _draw_errors(right, z, normal=True)
    canvas.name_axes(right, "(prediction − target) / std", "rows")
    return canvas.to_png(figure)


def _draw_errors(axes: Axes, values: np.ndarray, *, normal: bool) -> None:
    counts, edges, _ = canvas.histogram(values)
    axes.stairs(counts, edges, fill=True, color=canvas.PALE_BLUE)
    if normal:
        x = np.linspace(edges[0], edges[-1], 200)
        density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) * len(values) * (edges[1] - edges[0])
        axes.plot(x, density, "-", color=canvas.INK, lw=1.2)
    axes.set_ylim(bottom=0)
    canvas.use_whole(axes.yaxis)


def draw_classes(found: Classified) -> bytes:
    """Draw the confusion matrix of rows held out: rows are true classes, columns predicted ones, shares per row."""
    shown = min(len(found.classes), MOST_CLASSES)
    figure = canvas.new_figure(5.2)
    axes = canvas.add_axes(figure, 1.0, 0.65, 3.9, 3.9)
    counts = found.counts[:shown, :shown]
    total = found.counts.sum(axis=1)[:shown, None]
    shares = counts / np.maximum(total, 1)
    note = f"{int(found.counts.sum()):,} sampled rows, none learned from; each row of the picture adds up to 100 %"
    canvas.write_heading(axes, "True classes against predicted ones", [note])
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    names = [str(value) for value in found.classes[:shown]]
    if shown <= 12:
        for i, j in np.ndindex(*counts.shape):
            if counts[i, j]:
                colour = "white" if shares[i, j] > 0.5 else canvas.INK
                text = f"{100 * shares[i, j]:.0f}"
                axes.annotate(text, (j, i), ha="center", va="center", size=8.5, color=colour)
    axes.set_xticks(range(shown), names, fontsize=8, rotation=90 if shown > 12 else 0)
    axes.set_yticks(range(shown), names, fontsize=8)
    canvas.name_axes(axes, "predicted, % of the true class", "true")
    return canvas.to_png(figure)
