from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from landmark_ops.report.content import Coverage, Density, EmbedReport, Measure, Stage

MakeReport = Callable[..., EmbedReport]


def bin_rows(rows: np.ndarray, components: tuple[int, int], cells: int = 64) -> Density:
    x, y = rows[:, components[0]], rows[:, components[1]]
    counts, ys, xs = np.histogram2d(y, x, bins=cells)
    return Density(components, counts.astype(np.int64), (xs[0], xs[-1], ys[0], ys[-1]))


def build_report() -> EmbedReport:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 3)) * [4.0, 2.0, 1.0]
    landmarks = rows[:50]
    nearest = rng.gamma(3.0, 1.0, 500)
    return EmbedReport(
        title="Embedding of patches",
        summary="3,000 rows of 192 float32 placed in 3 dimensions by Landmark MDS from 50 uniform landmarks",
        densities=[bin_rows(rows, pair) for pair in ((0, 1), (0, 2), (1, 2))],
        landmarks=landmarks,
        spectrum=np.concatenate([1000 * 0.7 ** np.arange(40), -0.5 * np.arange(1, 11)]),
        kept=3,
        negative_mass=0.00821,
        spectrum_name="the centred squared distances",
        coverage=Coverage(
            nearest,
            "euclidean distance",
            rng.multinomial(500, np.full(50, 1 / 50)),
            rng.normal(1.0, 0.2, 500),
            "squared distance",
        ),
        quality=[
            Measure("stress-1", 0.12345, 0.00123, "lower", "How far distances are off."),
            Measure("trustworthiness", 0.9731, None, "higher", "Whether neighbours are neighbours."),
        ],
        quality_note="Measured on 500 rows.",
        stages=[Stage("select", 0.5, 3000), Stage("solve", 1.25, None), Stage("extend", 75.0, 3_000_000)],
        provenance={"source": "s3://lake/patches.zarr", "version": "0.1.0"},
        warnings=["12 rows hold NaN."],
        thumbnails=rng.integers(0, 256, (50, 8, 8, 3), dtype=np.uint8),
    )


@pytest.fixture(scope="session")
def base_report() -> EmbedReport:
    return build_report()


@pytest.fixture(scope="session")
def make_report(base_report: EmbedReport) -> MakeReport:
    def make(**changes: Any) -> EmbedReport:
        return dataclasses.replace(base_report, **changes)

    return make
