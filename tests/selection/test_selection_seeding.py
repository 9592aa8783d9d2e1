"""k-means|| on a sample, for n far above a million."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import landmark_ops.selection.seeding as seeding
import landmark_ops.selection.strategies.kmeans as kmeans
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.stores.sources.rows import ArrayRows


def choose(rows: ArrayRows, workers: int = 1, seed: int = 0) -> Landmarks:
    return select("kmeans", Request(rows, 20, seed, LocalEngine(workers)))


def test_a_sampled_start_is_as_good_and_does_not_depend_on_chunks(
    monkeypatch: pytest.MonkeyPatch, chunked: Callable[..., Any], rng: np.random.Generator
) -> None:
    X = (rng.normal(size=(20, 4)) * 8)[rng.integers(20, size=6_000)] + rng.normal(size=(6_000, 4))
    monkeypatch.setattr(kmeans, "block_rows", lambda d: 512)

    def spread() -> float:
        chosen = [choose(ArrayRows(X), seed=seed).points for seed in range(6)]
        return float(np.median([(cdist(X, points).min(axis=1) ** 2).sum() for points in chosen]))

    whole = spread()
    assert "drawn uniformly" not in choose(ArrayRows(X)).note
    monkeypatch.setattr(seeding, "SAMPLE_ROWS", 1_000)
    monkeypatch.setattr(seeding, "SAMPLE_PER_LANDMARK", 1)
    part = choose(ArrayRows(X))
    assert "rounds on 16.67% of the rows, drawn uniformly" in part.note
    again = choose(chunked(X, 777), 3)
    np.testing.assert_array_equal(part.points, again.points)
    assert part.weights.sum() == 6_000
    assert spread() < 1.1 * whole


def test_seeding_counts_only_the_sample(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    X = rng.normal(size=(4_000, 3))
    rows = ArrayRows(X)
    sampled = seeding.Sampled(5, 0.25)
    indices, working = sampled.read((1_000, 3_000), rows, kmeans.Metric("euclidean"), False)
    assert 400 < len(indices) < 600
    np.testing.assert_array_equal(working, X[indices])
    counts = seeding.count_block((1_000, 3_000), rows, X[:7], kmeans.Metric("euclidean"), False, sampled)
    assert counts.sum() == len(indices)


def test_a_block_without_a_sampled_row_adds_nothing() -> None:
    rows = ArrayRows(np.ones((10, 2)))
    common = (rows, np.zeros((1, 2)), kmeans.Metric("euclidean"), False)
    sample = seeding.sample_block((0, 10), *common, 4, seeding.Sampled(0, 1e-9), 0)
    assert sample.X.shape == (0, 2)
    assert sample.phi == 0
    assert seeding.count_block((0, 10), *common, seeding.Sampled(0, 1e-9)).tolist() == [0]
