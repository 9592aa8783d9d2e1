"""The page, picture and advice of a comparison, from numbers made up here."""

from __future__ import annotations

from typing import Any

import pytest

from landmark_ops.report.compare.content import CompareReport, Floor, Trial
from landmark_ops.report.compare.numbers import advice, best_of, table_of
from landmark_ops.report.compare.page import render_compare_page, write_compare_report
from landmark_ops.report.compare.picture import draw_errors
from landmark_ops.report.compare.table import compare_lines, compare_markdown
from landmark_ops.report.content import Stage
from tests.report.test_report_pictures import check_drawn


def report(errors: dict[str, dict[int, list[float]]], **changes: Any) -> CompareReport:
    trials = [
        Trial(name, m, seed, error=error, seconds=0.5 + m / 100)
        for name, row in errors.items()
        for m, values in row.items()
        for seed, error in enumerate(values)
    ]
    content: dict[str, Any] = {
        "title": "Landmarks for <b>Nystrom</b>",
        "summary": "Three strategies.",
        "measure": "relative trace error",
        "meaning": "What landmarks leave.",
        "baseline": "uniform",
        "trials": trials,
        "floor": None,
        "stages": [Stage("uniform", 1.0, 1000)],
        "provenance": {"source": "s3://lake/x.zarr"},
        "warnings": [],
    }
    return CompareReport(**{**content, **changes})


CLEAR = {
    "uniform": {100: [0.10, 0.11, 0.12], 400: [0.050, 0.051, 0.052]},
    "rpcholesky": {100: [0.040, 0.041, 0.042], 400: [0.010, 0.010, 0.011]},
}


def test_fewer_landmarks_that_do_as_well_are_advised():
    (sentence,) = advice(report(CLEAR))
    assert sentence.startswith("rpcholesky with 100 landmarks is as good as uniform with 400: 0.0410 against 0.0510.")


def test_no_advice_from_fewer_than_three_seeds():
    assert advice(report({name: {m: e[:2] for m, e in row.items()} for name, row in CLEAR.items()})) == []


def test_no_advice_within_the_spread():
    same = {"uniform": {100: [0.1, 0.2, 0.3]}, "maxmin": {100: [0.15, 0.2, 0.25]}}
    assert advice(report(same)) == [
        "No other strategy is better than uniform by more than the spread over seeds, at any number of landmarks."
    ]


def test_the_least_error_is_marked_at_every_count():
    crossing = {"uniform": {10: [0.1], 20: [0.09]}, "maxmin": {10: [0.2], 20: [0.01]}}
    assert best_of(table_of(report(crossing))) == {10: "uniform", 20: "maxmin"}
    lines = compare_lines(report(crossing))
    assert [line.split()[0] for line in lines if "*" in line][1:] == ["maxmin", "uniform"]


@pytest.mark.parametrize(
    ("errors", "changes"),
    [
        (CLEAR, {"floor": Floor("PCA", 0.005)}),
        ({"uniform": {100: [0.1]}}, {}),
        ({"uniform": {100: [0.0, 0.0, 0.0], 200: [0.0, 0.0, 0.0]}}, {}),
        ({f"strategy{i}": {10: [0.1 + i / 1000], 1000: [0.01 + i / 1e4]} for i in range(8)}, {}),
    ],
    ids=["two strategies", "a single point", "no error", "labels close together"],
)
def test_the_picture_is_drawn(errors, changes):
    check_drawn(draw_errors(report(errors, **changes)))


def test_refusals_are_on_the_page_and_text_is_no_markup():
    trials = [Trial("uniform", 10, 0, error=0.1, seconds=1.0), Trial("kmeans", 10, 0, refused="no mean <of> rows")]
    one = report({}, trials=trials)
    page = render_compare_page(one, {"error.png": b""})
    assert "no mean &lt;of&gt; rows" in page
    assert "&lt;b&gt;Nystrom" in page
    assert "- kmeans refused at m = 10: no mean &lt;of&gt; rows" in compare_markdown(one)


def test_all_files_are_written_the_page_last():
    names: list[str] = []
    write_compare_report(report(CLEAR), lambda name, _: names.append(name))
    assert names == ["error.png", "compare.csv", "compare.json", "index.html"]
