from __future__ import annotations

import math

import numpy as np
import pytest

from landmark_ops.report.canvas import histogram
from landmark_ops.report.content import Stage
from landmark_ops.report.numbers import (
    coverage_numbers,
    show,
    show_compact,
    show_measure,
    show_percent,
    show_power,
    show_rate,
    show_seconds,
    spectrum_numbers,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (531720.0, "531,720"),
        (12345.678, "12,346"),
        (0.012345, "0.01235"),
        (0.981, "0.981"),
        (-2.5, "−2.5"),
        (1.2346e-7, "1.235e-7"),
        (3e12, "3e12"),
        (math.nan, "undefined"),
        (math.inf, "undefined"),
    ],
)
def test_show(value: float, text: str) -> None:
    assert show(value) == text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.12345, 0.00123, "0.1235 ± 0.0012"),
        (123.456, 12.3, "123 ± 12"),
        (0.5, None, "0.5"),
        (0.5, 0.0, "0.5 ± 0"),
        (0.5, math.nan, "0.5 ± undefined"),
        (math.nan, 0.1, "undefined"),
        (1e-9, 1e-11, "1e-9 ± 1e-11"),
    ],
)
def test_show_measure(value: float, error: float | None, text: str) -> None:
    assert show_measure(value, error) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.00123, "0.00123 s"),
        (9.874, "9.87 s"),
        (59.97, "1 min 00 s"),
        (125.0, "2 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7380.0, "2 h 03 min"),
        (math.nan, "undefined"),
    ],
)
def test_show_seconds(seconds: float, text: str) -> None:
    assert show_seconds(seconds) == text


def test_show_rate() -> None:
    assert show_rate(Stage("a", 0.42, 531_720)) == "1.27 million rows/s"
    assert show_rate(Stage("a", 9.87, 531_720)) == "53,900 rows/s"
    assert show_rate(Stage("a", 0.0, 10)) == "–"
    assert show_rate(Stage("a", 1.0, None)) == "–"


def test_axis_numbers() -> None:
    values = (0.0, -2.5, 1000.0, 120_000.0, 1.5e6, 2e-7)
    assert [show_compact(value) for value in values] == ["0", "−2.5", "1,000", "120k", "1.5M", "2e−7"]
    assert [show_power(10.0**power) for power in (-3, 0, 3, 12)] == ["10⁻³", "1", "1,000", "10¹²"]
    assert [show_percent(share) for share in (0.0, 1e-9, 0.0821, 1.0)] == ["0 %", "< 0.01 %", "8.21 %", "100 %"]


def test_histogram_counts_every_finite_value_and_says_what_is_outside() -> None:
    sample = np.concatenate([np.random.default_rng(0).normal(size=2000), [1e6, np.nan, np.inf]])
    counts, edges, beyond = histogram(sample)
    assert counts.sum() + beyond == 2001
    assert beyond == 1
    assert edges[-1] < 20


def test_numbers_leave_undefined_values_out(make_report) -> None:
    report = make_report(spectrum=np.array([3.0, 1.0, -1.0, np.nan]), kept=1)
    assert spectrum_numbers(report).kept_share == 0.75
    coverage = report.coverage
    residual = np.array([1.0, 2.0, 3.0, np.nan])
    numbers = coverage_numbers(type(coverage)(np.empty(0), "d", np.array([0, 4, 0]), residual, "r"))
    assert numbers.residual.values[1] == 2.0
    assert numbers.residual.undefined == 1
    assert math.isnan(numbers.nearest.values[0])
    assert (numbers.empty_cells, numbers.largest_cell) == (2, 4)
