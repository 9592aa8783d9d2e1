"""Pictures of what a method decides: drawn, not clipped, and on the page under their own headings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from landmark_ops.report.content import Classified, Clustered, Predicted
from landmark_ops.report.embed.outcomes import draw_outcome
from landmark_ops.report.embed.page import render_page
from landmark_ops.report.embed.pictures import draw_all
from tests.report.test_report_pictures import check_drawn, decode

RNG = np.random.default_rng(0)
EMPTY = np.empty(0)


def clusters(count: int, rows: int = 400) -> Clustered:
    labels = RNG.integers(0, count, rows).astype(np.int32)
    points = RNG.normal(size=(rows, 2)) + 8 * np.stack([np.cos(labels), np.sin(labels)], axis=1)
    return Clustered(points, labels, (1, 2), np.bincount(labels, minlength=count) * 1000)


TARGET = RNG.normal(size=300)
OUTCOMES: dict[str, Any] = {
    "two clusters": clusters(2),
    "more clusters than colours": clusters(25),
    "more clusters than bars": clusters(90),
    "an empty cluster": Clustered(np.zeros((3, 2)), np.zeros(3, np.int32), (0, 1), np.array([3, 0])),
    "rows without coordinates": Clustered(np.full((3, 2), np.nan), np.full(3, -1, np.int32), (0, 1), np.array([0, 0])),
    "prediction with std": Predicted(TARGET, TARGET + 0.1 * RNG.normal(size=300), np.full(300, 0.1)),
    "prediction alone": Predicted(TARGET, TARGET + 0.1 * RNG.normal(size=300), None),
    "nothing held out": Predicted(EMPTY, EMPTY, EMPTY),
    "a constant": Predicted(np.ones(5), np.ones(5), np.ones(5)),
    "classes": Classified(np.array([3, 5, 8]), np.array([[9, 1, 0], [0, 20, 0], [3, 0, 7]])),
    "many classes": Classified(np.arange(60), np.diag(np.arange(60))),
    "a class never met": Classified(np.array([0, 1]), np.array([[4, 0], [0, 0]])),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_outcome_is_drawn(name: str) -> None:
    check_drawn(draw_outcome(OUTCOMES[name]))


@pytest.mark.parametrize(
    ("name", "heading"), [("two clusters", "Clusters"), ("prediction with std", "Predictions"), ("classes", "Classes")]
)
def test_the_page_names_it(make_report: Any, name: str, heading: str) -> None:
    report = make_report(outcome=OUTCOMES[name])
    page = render_page(report, draw_all(report))
    assert f'<h2 id="outcome">{heading}</h2>' in page


def test_clusters_have_colours_of_their_own() -> None:
    image = decode(draw_outcome(clusters(3, 3000)))
    for bgr in ((0xAA, 0x77, 0x44), (0x77, 0x66, 0xEE), (0x33, 0x88, 0x22)):
        assert (np.abs(image.astype(int) - bgr).max(axis=2) < 12).sum() > 500
