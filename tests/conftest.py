"""Fixtures shared by all tests. Real files of the workplace come through `shared` alone; without it tests skip."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Set before Prefect is imported anywhere: no telemetry, no logs, and never the user's own profile or database.
os.environ.update(
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
    PREFECT_LOGGING_ROOT_LEVEL="ERROR",
    PREFECT_LOGGING_LEVEL="CRITICAL",
    PREFECT_LOGGING_TO_API_ENABLED="false",
)
os.environ.pop("PREFECT_API_URL", None)

# The same examples in every run: a gate that fails by chance is soon ignored.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models, images and data beside the repository; tests that need it skip where it is absent."""
    place = Path(os.environ.get("LANDMARKS_SHARED", Path(__file__).parents[2] / "shared"))
    if not place.is_dir():
        pytest.skip(f"no folder of shared files at {place}: set LANDMARKS_SHARED to run this test")
    return place
