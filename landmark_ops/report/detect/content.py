"""The content of a detection run's report, as data: the flow fills it, pictures and page only read it.

Everything here is counted already, but for a sample of pictures. A report whose counts contradict each other cannot
be made. Letters: B bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landmark_ops.report.content import Stage


@dataclass(frozen=True)
class Reason:
    """How many images failed for one reason, by its code in the failures table, and what the code means."""

    code: str
    count: int
    meaning: str


@dataclass(frozen=True)
class DetectReport:
    """Everything one report says.

    `images`: all seen, by this run and by earlier ones that it continues: images = with_instances + without + failed.
    `without`: nothing was found there. `this_run`: images that this run processed. `scores`: (B,) int64 instances per
    equal bin of 0..1. `sizes`: (B,) int64 instances per bin of the longer side of their box in pixels, `size_edges`: (B
    + 1,) float64 ascending powers of two, the first may be 0, the last may be infinite. Instances without score or box
    are in no bin. `overlays`: caption and JPEG bytes of pictures drawn already, a random sample. `stages`: their rows
    are images. `images_per_second`: of this run.

    Raises ValueError for an account that does not add up.
    """

    title: str
    summary: str
    images: int
    with_instances: int
    without: int
    failed: int
    instances: int
    this_run: int
    scores: NDArray[np.int64]
    sizes: NDArray[np.int64]
    size_edges: NDArray[np.float64]
    reasons: list[Reason]
    overlays: list[tuple[str, bytes]]
    stages: list[Stage]
    images_per_second: float | None
    provenance: dict[str, str]
    warnings: list[str]

    def __post_init__(self) -> None:
        check_account(self)


def check_account(report: DetectReport) -> None:
    """Raise ValueError unless every image is counted once, every failure has a reason, and bins hold instances."""
    wrong = _contradiction(report)
    if wrong:
        raise ValueError(
            f"the account of this run does not add up: {wrong}: compare the tables images, keypoints and failures, "
            "no report is written from these counts"
        )


def _contradiction(report: DetectReport) -> str | None:
    """The first contradiction between the counts, in words."""
    named = {
        "images": report.images,
        "with_instances": report.with_instances,
        "without": report.without,
        "failed": report.failed,
        "instances": report.instances,
        "this_run": report.this_run,
    }
    named |= {f"reason {reason.code}": reason.count for reason in report.reasons}
    named |= {f"least of {name}": int(bins.min(initial=0)) for name, bins in _bins(report).items()}
    for name, count in named.items():
        if count < 0:
            return f"{name} is {count:,}, a count cannot be negative"
    total = report.with_instances + report.without + report.failed
    if report.images != total:
        return (
            f"{report.images:,} images in, but {report.with_instances:,} with rows + {report.without:,} zero "
            f"detections + {report.failed:,} failures = {total:,}"
        )
    reasons = sum(reason.count for reason in report.reasons)
    if reasons != report.failed:
        return f"{report.failed:,} failures, but the counts of their reasons sum to {reasons:,}"
    if report.this_run > report.images:
        return f"{report.this_run:,} images processed by this run, but {report.images:,} met in all"
    if report.instances < report.with_instances or (report.instances and not report.with_instances):
        return f"{report.instances:,} instances in {report.with_instances:,} images with at least one each"
    for name, bins in _bins(report).items():
        if bins.sum() > report.instances:
            return f"{name} count {int(bins.sum()):,} instances, but {report.instances:,} were found"
    if report.sizes.size and len(report.size_edges) != report.sizes.size + 1:
        return f"{report.sizes.size} bins of sizes need {report.sizes.size + 1} edges, got {len(report.size_edges)}"
    if not (np.diff(report.size_edges) > 0).all():
        return f"the edges of sizes do not ascend: {report.size_edges.tolist()}"
    return None


def _bins(report: DetectReport) -> dict[str, NDArray[np.int64]]:
    return {"scores": report.scores, "sizes": report.sizes}
