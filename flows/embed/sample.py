"""Rows drawn uniformly that quality and coverage are measured on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.embed.inputs import OpenedRun
from flows.embed.run import Run
from flows.embed.solved_method import SolvedMethod
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.passes.extension import gather_block, within
from landmark_ops.row_range import RowRange

SAMPLE_BYTES = 256 << 20  # of sampled rows held by the flow and each worker: caps report.sample for very wide rows


class PlacedSample(NamedTuple):
    """Rows drawn uniformly for quality and coverage, with their coordinates and residuals."""

    indices: NDArray[np.int64]  # (S,) sorted
    rows: Array  # (S, d)
    embedding: NDArray[np.float32]  # (S, k)
    residual: NDArray[np.float32]  # (S,)


def sample_indices(config: EmbedConfig, opened: OpenedRun) -> Any:
    """Sorted row numbers of the sample for quality and coverage, drawn uniformly by the seed."""
    rows = opened.rows
    count = min(config.report.sample, rows.n, max(100, SAMPLE_BYTES // (rows.d * 8)))
    drawn = generator(config.landmarks.seed, Stream.QUALITY_SAMPLE).choice(rows.n, count, replace=False, shuffle=False)
    return np.sort(drawn)


def gather_sample(
    run: Run, solved: SolvedMethod, sample: NDArray[np.int64], rows: dict[RowRange, Array]
) -> PlacedSample:
    """The sampled rows of one method: their coordinates read back, the rows themselves as far as not at hand."""
    items = solved.records.items(committed=True)
    placed = dict(run.engine.imap(gather_block, items, solved.output.store, sample))
    stored = [rows[item] if item in rows else run.rows.take(within(sample, *item)) for item in items]
    columns = zip(*(placed[item] for item in items), strict=True)
    return PlacedSample(sample, np.concatenate(stored), *(np.concatenate(column) for column in columns))
