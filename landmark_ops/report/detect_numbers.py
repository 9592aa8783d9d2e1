"""Numbers of a detection report that page, pictures and Markdown share, so that they never disagree."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.report.detect_content import DetectReport, Reason
from landmark_ops.report.numbers import show, show_percent, show_speed


class Term(NamedTuple):
    """One number of the account, its share of all images in words, and the colour class of the page."""

    label: str
    count: int
    share: str
    kind: str


def account(report: DetectReport) -> list[Term]:
    """The account: the first term equals the sum of the others."""
    parts = [
        ("with rows", report.with_instances, "rows"),
        ("zero detections", report.without, "none"),
        ("failures", report.failed, "bad"),
    ]
    share = {name: show_percent(count / report.images) if report.images else "–" for name, count, _ in parts}
    return [
        Term("images in", report.images, "", "all"),
        *(Term(label, count, share[label], kind) for label, count, kind in parts),
    ]


def describe(report: DetectReport) -> list[str]:
    """Sentences under the account: who did the work, how fast, and what was found."""
    if not report.images:
        return ["The source held no image."]
    earlier = report.images - report.this_run
    if not report.this_run:
        work = "All images were processed by earlier runs, none was left to this one"
    elif not earlier:
        work = "All images were processed by this run"
    else:
        work = f"{report.this_run:,} of the images were processed by this run, {earlier:,} by earlier ones"
    if report.this_run and report.images_per_second is not None:
        work += f", at {show_speed(report.images_per_second, 'images')}" if not earlier else (
            f"; this run processed {show_speed(report.images_per_second, 'images')}"
        )
    if not report.instances:
        return [f"{work}.", "No instance was found."]
    each = show(report.instances / report.with_instances, 3)
    plural = "instances were" if report.instances > 1 else "instance was"
    return [f"{work}.", f"{report.instances:,} {plural} found, {each} per image that holds any."]


def ordered_reasons(report: DetectReport) -> list[Reason]:
    """Reasons that occurred, the most frequent first, equal ones by code."""
    return sorted((r for r in report.reasons if r.count), key=lambda reason: (-reason.count, reason.code))


def score_edges(scores: NDArray[np.int64]) -> NDArray[np.float64]:
    """Edges (B + 1,) of equal bins of 0..1."""
    return np.linspace(0.0, 1.0, scores.size + 1)


def median_bin(counts: NDArray[np.int64], edges: NDArray[np.float64]) -> tuple[float, float] | None:
    """Edges of the bin that holds the (lower) median, None where nothing was counted: a bin is all that is known."""
    total = int(counts.sum())
    if not total:
        return None
    at = int(np.searchsorted(np.cumsum(counts), (total + 1) // 2))
    return float(edges[at]), float(edges[at + 1])


def show_median(counts: NDArray[np.int64], edges: NDArray[np.float64], unit: str = "") -> str:
    """Say between which edges the median lies."""
    found = median_bin(counts, edges)
    if found is None:
        return ""
    return f"median {show_bin(*found)}{unit}"


def show_bin(low: float, high: float) -> str:
    """Write a bin, e.g. "32 to 64"; open ends in words."""
    if np.isinf(high):
        return f"{show(low, 3)} or more"
    return f"{show(low, 3)} to {show(high, 3)}" if low > 0 else f"below {show(high, 3)}"
