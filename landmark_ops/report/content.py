"""The content of an embedding's report, as data: the flow fills it, pictures and page only read it.

Every array here is landmark-, grid- or sample-sized: a report never sees all rows.
Letters: m landmarks, k components, S sampled rows, H × W histogram cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Density:
    """Rows counted on a grid over two components.

    `components`: 0-based, (x, y). `counts`: (H, W) int64 rows per cell, row 0 at the lowest y. `extent`: (x0, x1,
    y0, y1) outer edges of the grid, in units of the embedding. For one component alone counts is (1, W), and the
    y values of the extent mean nothing.
    """

    components: tuple[int, int]
    counts: NDArray[np.int64]
    extent: tuple[float, float, float, float]


@dataclass(frozen=True)
class Measure:
    """One quality number with its sampling error, the direction that is good, and a plain sentence on what it means.

    NaN values and errors are shown as undefined.
    """

    name: str
    value: float
    standard_error: float | None
    better: Literal["lower", "higher"]
    meaning: str


@dataclass(frozen=True)
class Stage:
    """One stage of the run, its wall time in seconds and, where it passed over rows, how many."""

    name: str
    seconds: float
    rows: int | None


@dataclass(frozen=True)
class Coverage:
    """How well the landmarks stand for the rows, on the sample.

    `nearest`: (S,) float64 distance of each sampled row to its nearest landmark. `cell_sizes`: (m,) int64 sampled
    rows nearest to each landmark. `residual`: float64 per sampled row, what the map leaves unexplained, NaN where
    undefined. The names label axes.
    """

    nearest: NDArray[np.float64]
    distance_name: str
    cell_sizes: NDArray[np.int64]
    residual: NDArray[np.float64]
    residual_name: str


@dataclass(frozen=True)
class Clustered:
    """Sampled rows by cluster: `points` (S, 2) over `components` (0-based), `labels` (S,), `sizes` (c,) of all rows."""

    points: NDArray[np.float64]
    labels: NDArray[np.int32]
    components: tuple[int, int]
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class Predicted:
    """Sampled rows that were held out: `target`, `prediction` and, where the method has one, `std`, (S,) each."""

    target: NDArray[np.float64]
    prediction: NDArray[np.float64]
    std: NDArray[np.float64] | None


@dataclass(frozen=True)
class Classified:
    """Sampled rows that were held out: `counts` (c, c) by true class (row) and predicted class, both of `classes`."""

    classes: NDArray[Any]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class EmbedReport:
    """Everything one report says.

    `landmarks`: (m, k) coordinates. `spectrum`: all eigenvalues, descending, negative ones included; the first `kept`
    made the components; None where rows were placed by a stored map, whose spectrum is that of other rows.
    `negative_mass`: Σ|λ<0| / Σ|λ|, a fraction of 1. `thumbnails`: (m, h, w) or (m, h, w, 1|3|4), any numeric range;
    they are scaled by one range for all. `quality_note` names the sample that
    quality was measured on.
    """

    title: str
    summary: str
    densities: list[Density]
    landmarks: NDArray[np.floating]
    spectrum: NDArray[np.floating] | None
    kept: int
    negative_mass: float
    spectrum_name: str
    coverage: Coverage
    quality: list[Measure]
    quality_note: str
    stages: list[Stage]
    provenance: dict[str, str]
    warnings: list[str]
    thumbnails: NDArray[Any] | None
    outcome: Clustered | Predicted | Classified | None = None
