"""Sizes and durations: what people read, and what they may write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark_ops.units import duration, megabytes, parse_size, size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (3 << 19, "1.5 MiB"),
        (120 << 30, "120 GiB"),
        (2048 << 40, "2048 TiB"),
    ],
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text


def test_megabytes() -> None:
    assert megabytes(2_314_159) == "2.31 MB"


@given(number=st.integers(1, 2000), power=st.sampled_from(list(enumerate(["", "Ki", "Mi", "Gi", "Ti"]))))
def test_every_binary_size(number, power):
    assert parse_size(f"{number}{power[1]}B") == number << 10 * power[0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0042, "0.0042 s"),
        (0.42, "0.42 s"),
        (0.996, "1 s"),
        (3.14, "3.1 s"),
        (12.3, "12 s"),
        (89.4, "89 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7800, "2 h 10 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
