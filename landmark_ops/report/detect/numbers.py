"""Numbers of a detection report that page, pictures and Markdown share, so that they never disagree."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.report.detect.content import DetectReport, Reason
from landmark_ops.report.numbers import show, show_percent, show_speed


class Term(NamedTuple):
    """One number of the account, its share of all images in words, and the colour class of the page."""

    label: str
    images: int
    share: str
    kind: str


def account(report: DetectReport) -> list[Term]:
    """The account: the first term equals the sum of the others."""
    parts = [
        ("with rows", report.with_instances, "rows"),
        ("zero detections", report.without, "none"),
        ("failures", report.failed, "bad"),
    ]
    return [
        Term("images in", report.images, "", "all"),
        *(Term(label, count, show_share(count, report.images), kind) for label, count, kind in parts),
    ]


def show_share(count: int, total: int) -> str:
    """Write a share as a percentage, one that is not whole never as 100 %; nothing for a share of nothing."""
    if not total:
        return ""
    return "> 99.9 %" if 0.9995 * total <= count < total else show_percent(count / total)


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
        work = f"{earlier:,} of the images were processed by earlier runs, {report.this_run:,} by this one"
    if report.this_run and report.images_per_second is not None and math.isfinite(report.images_per_second):
        work += f"; it did {show_speed(report.images_per_second, 'images')}"
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
    return f"median {show_bin(*found, unit)}"


def show_bin(low: float, high: float, unit: str) -> str:
    """Write a bin: 32 to 64 px, 65,536 px or more."""
    return f"{show(low)}{unit} or more" if math.isinf(high) else f"{show(low)} to {show(high)}{unit}"
