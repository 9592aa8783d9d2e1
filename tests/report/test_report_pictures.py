from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
import pytest

from landmark_ops.report.content import Coverage, Density, EmbedReport, Stage
from landmark_ops.report.embed.density import Box, coarsen, draw_density, limits_of, sum_blocks
from landmark_ops.report.embed.page import render_page
from landmark_ops.report.embed.pictures import draw_all, draw_coverage, draw_spectrum, draw_timings
from landmark_ops.report.embed.thumbnails import draw_thumbnails, resize, scale_to_unit, spread


def decode(png: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def check_drawn(png: bytes) -> None:
    image = decode(png)
    assert image.std() > 3, "the picture is blank"
    edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (edges == 255).all(), "ink touches the border: something is clipped"


def one_line(counts: list[int], extent: tuple[float, float]) -> list[Density]:
    return [Density((0, 0), np.array([counts], dtype=np.int64), (*extent, 0.0, 1.0))]


def one_cell(rows: int, extent: tuple[float, float, float, float]) -> list[Density]:
    counts = np.zeros((16, 16), dtype=np.int64)
    counts[7, 7] = rows
    return [Density((0, 1), counts, extent)]


def test_every_picture_is_drawn(base_report: EmbedReport) -> None:
    pictures = draw_all(base_report)
    assert list(pictures) == ["density.png", "thumbnails.png", "spectrum.png", "coverage.png", "timings.png"]
    for png in pictures.values():
        check_drawn(png)


def test_no_data_no_picture(make_report) -> None:
    report = make_report(thumbnails=None, densities=[])
    pictures = draw_all(report)
    assert list(pictures) == ["spectrum.png", "coverage.png", "timings.png"]
    assert '<h2 id="picture">' not in render_page(report, pictures)


EMPTY = np.empty(0)
DEGENERATE: dict[str, dict[str, Any]] = {
    "one component": {
        "densities": one_line([1, 5, 0, 2], (-1.0, 2.0)),
        "landmarks": np.linspace(-1, 2, 50)[:, None],
    },
    "one component, constant": {"densities": one_line([9], (3.0, 3.0)), "landmarks": np.full((50, 1), 3.0)},
    "constant component": {
        "densities": [Density((0, 1), np.eye(16, dtype=np.int64)[:1].repeat(2, 0), (0.0, 9.0, 5.0, 5.0))],
        "landmarks": np.column_stack([np.linspace(0, 9, 50), np.full(50, 5.0)]),
    },
    "all rows in one cell": {
        "densities": one_cell(10**9, (2.0, 2.0, 2.0, 2.0)),
        "landmarks": np.full((50, 2), 2.0),
    },
    "one row": {"densities": one_cell(1, (0.0, 1.0, 0.0, 1.0))},
    "no finite row": {
        "densities": one_cell(0, (np.nan, np.nan, np.nan, np.nan)),
        "landmarks": np.full((50, 2), np.nan),
    },
    "four densities": {"densities": one_cell(3, (0.0, 1.0, 0.0, 1.0)) * 4},
    "one landmark": {
        "landmarks": np.array([[1.0, 2.0, 3.0]]),
        "spectrum": np.array([4.0]),
        "kept": 1,
        "thumbnails": np.ones((1, 8, 8)),
        "coverage": Coverage(np.array([0.0]), "d", np.array([1]), np.array([0.0]), "r"),
    },
    "zero spectrum": {"spectrum": np.zeros(5), "kept": 2, "negative_mass": float("nan")},
    "empty spectrum": {"spectrum": EMPTY, "kept": 0},
    "undefined spectrum": {"spectrum": np.full(3, np.nan), "kept": 3},
    "negative spectrum": {"spectrum": np.array([-1.0, -2.0, -300.0]), "kept": 0},
    "narrow spectrum": {"spectrum": np.array([3.0, 2.0, 1.0, -0.5]), "kept": 2},
    "rounding noise": {"spectrum": np.sort(np.r_[5.0, np.random.default_rng(0).normal(size=4999) * 1e-16])[::-1]},
    "undefined residual": {
        "coverage": Coverage(np.full(9, np.nan), "d", np.zeros(4, np.int64), np.full(9, np.nan), "r")
    },
    "empty sample": {"coverage": Coverage(EMPTY, "d", np.empty(0, np.int64), EMPTY, "r")},
    "huge constant distances": {"coverage": Coverage(np.full(9, 1e20), "d", np.ones(4, int), np.full(9, -1e20), "r")},
    "zero seconds": {"stages": [Stage("a", 0.0, 10), Stage("b", 0.0, None)]},
    "undefined seconds": {"stages": [Stage("a" * 90, float("nan"), 10), Stage("cost $x$ $", 10_000.0, 10)]},
    "no stages": {"stages": []},
    "constant thumbnails": {"thumbnails": np.full((50, 4, 6), 7, dtype=np.int32)},
    "undefined thumbnails": {"thumbnails": np.full((50, 4, 4), np.nan)},
    "transparent thumbnails": {"thumbnails": np.full((50, 6, 4, 4), 200, dtype=np.uint8)},
    "mask thumbnails": {"thumbnails": np.eye(90, dtype=bool)[None].repeat(50, 0)},
    "long thumbnails": {"thumbnails": np.random.default_rng(0).normal(size=(50, 1, 300, 1))},
}


def draw_changed(report: EmbedReport, changed: set[str]) -> dict[str, bytes]:
    drawers = {
        "densities": lambda: draw_density(report),
        "spectrum": lambda: draw_spectrum(report),
        "coverage": lambda: draw_coverage(report.coverage),
        "stages": lambda: draw_timings(report.stages),
        "thumbnails": lambda: draw_thumbnails(report, report.thumbnails),
    }
    return {name: draw() for name, draw in drawers.items() if name in changed}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_report_is_drawn_without_a_warning(make_report, case: str) -> None:
    changes = dict(DEGENERATE[case])
    if "landmarks" in changes:
        changes.setdefault("thumbnails", np.ones((len(changes["landmarks"]), 2, 2)) * [0, 1])
    report = make_report(**changes)
    pictures = draw_changed(report, set(changes))
    assert pictures
    for name, png in pictures.items():
        if (case, name) != ("no finite row", "thumbnails"):
            check_drawn(png)
    assert report.title in render_page(report, pictures)


def test_one_far_row_changes_the_picture_and_is_visible(make_report) -> None:
    counts = np.zeros((512, 512), dtype=np.int64)
    counts[200:300, 200:300] = 1000
    with_row = counts.copy()
    with_row[505, 3] = 1  # upper left: row 0 is the lowest y
    before, after = (
        decode(draw_density(make_report(densities=[Density((0, 1), grid, (0.0, 512.0, 0.0, 512.0))] * 3)))
        for grid in (counts, with_row)
    )
    changed = np.abs(after.astype(int) - before).max(axis=2)
    assert changed.max() > 150
    ys, xs = np.nonzero(changed[:, :850] > 150)
    assert ys.max() < 150
    assert xs.max() < 150
    assert ys.size >= 4


def test_summed_cells_keep_every_row(base_report: EmbedReport) -> None:
    counts = np.random.default_rng(0).integers(0, 9, (515, 301))
    assert sum_blocks(counts, 4, 3).sum() == counts.sum()
    assert sum_blocks(counts, 4, 3).shape == (129, 101)
    density, box = Density((0, 1), counts, (0.0, 3.0, 0.0, 5.0)), Box(0, 0, 2.0, 2.0)
    coarse = coarsen(density, box, limits_of(density, box))
    assert coarse.counts.sum() == counts.sum()
    assert coarse.counts.shape < counts.shape
    assert coarse.extent[1] / coarse.counts.shape[1] == pytest.approx(3 / 301 * round(301 / coarse.counts.shape[1]))


def test_pictures_do_not_depend_on_the_clock(base_report: EmbedReport) -> None:
    assert draw_spectrum(base_report) == draw_spectrum(base_report)


def test_pictures_show_their_numbers(base_report: EmbedReport, make_report) -> None:
    other = make_report(kept=9, spectrum=base_report.spectrum * np.r_[np.ones(9), np.full(41, 0.1)])
    assert draw_spectrum(other) != draw_spectrum(base_report)
    coverage = dataclasses.replace(base_report.coverage, nearest=base_report.coverage.nearest * 2)
    assert draw_coverage(coverage) != draw_coverage(base_report.coverage)
    assert draw_timings(base_report.stages[:2]) != draw_timings(base_report.stages)


def test_thumbnails_never_overlap_and_crowds_are_thinned() -> None:
    rng = np.random.default_rng(0)
    across, down = rng.uniform(0, 400, 5000), rng.uniform(0, 300, 5000)
    across[17] = np.nan
    chosen = spread(across, down, 40)
    assert 17 not in chosen
    gaps = np.maximum(
        np.abs(np.subtract.outer(across[chosen], across[chosen])), np.abs(np.subtract.outer(down[chosen], down[chosen]))
    )
    np.fill_diagonal(gaps, np.inf)
    assert gaps.min() >= 40
    assert len(chosen) > 30


def test_thumbnails_share_one_range() -> None:
    images = np.zeros((100, 8, 8))
    images[:50] = 1.0
    images[50:] = 3.0
    images[0, 0, 0] = 1e9  # one hot pixel must not make the rest black
    images[1, 0, 0] = np.nan
    scaled = scale_to_unit(images)
    assert scaled[99, ..., 0].min() == 1.0
    assert scaled[2, ..., 0].max() == 0.0
    assert scaled[1, 0, 0, 3] == 0.0
    assert scaled[2, 0, 0, 3] == 1.0


def test_thumbnail_keeps_its_shape() -> None:
    assert resize(np.ones((8, 8, 4)), 48).shape == (48, 48, 4)
    assert resize(np.ones((100, 200, 4)), 48).shape == (24, 48, 4)
    assert resize(np.ones((1, 500, 4)), 48).shape == (1, 48, 4)
    pattern = np.kron(np.indices((48, 48)).sum(0) % 2, np.ones((2, 2)))[..., None] * np.ones(4)
    assert set(np.unique(resize(pattern, 48))) == {0, 255}
