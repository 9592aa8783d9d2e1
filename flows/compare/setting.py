"""What is the same for all strategies: the kernel or metric with its parameters fixed, and the rows measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.base.stage import stage
from flows.compare.comparison import Comparison
from flows.embed.bad_rows import refuse_bad_rows
from flows.embed.run import Run
from landmark_ops.configs.embed import CompareConfig
from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.passes.lookup import gather
from landmark_ops.passes.ranges import ranges, task_rows
from landmark_ops.passes.undefined_rows import refuse_outside
from landmark_ops.selection.probe import probe_rows
from landmark_ops.selection.usable_rows import good
from landmark_ops.solver.geometry import named_block
from landmark_ops.solver.unexplained import Unexplained

MEASURE_BYTES = 256 << 20  # of measured rows held by the flow and each worker: caps compare.rows for very wide rows


@dataclass(frozen=True, eq=False)
class Setting:
    """What is the same for all strategies.

    `left`: the error measured for each choice of landmarks. `X`: (r, d) the rows it is measured on.
    """

    left: Unexplained
    X: Array


@stage("prepare")
def prepare_stage(run: Run, comparison: Comparison) -> Setting:
    """Fix the bandwidth or the metric's parameters from a sample, and draw the rows that errors are measured on."""
    config = comparison.config
    method, skip = config.method, config.source.bad_rows == "mark"
    with run.progress.stage("prepare"):
        if not skip:
            items = ranges(run.rows.n, task_rows(run.rows))
            refuse_outside(run.rows, named_block(method.make()), run.engine, items)
        try:
            probe = probe_rows(run.rows, config.landmarks.seed, run.engine, skip_bad_rows=skip)
        except BadRowsError as error:
            refuse_bad_rows(run, None, error)
            raise
        X = measured_rows(run, config)
        return Setting(method.unexplained(probe, X), X)


def measured_rows(run: Run, config: CompareConfig) -> Array:
    """Rows drawn uniformly, (r, d), those with NaN or Inf left out where source.bad_rows allows them."""
    n = run.rows.n
    count = min(config.compare.rows, n, max(100, MEASURE_BYTES // (run.rows.d * 8)))
    random = generator(config.landmarks.seed, Stream.COMPARED_ROWS)
    drawn = np.sort(random.choice(n, count, replace=False, shuffle=False)).astype(np.int64)
    X = gather(run.rows, drawn, run.engine)
    usable = good(X)
    if not usable.all():
        if config.source.bad_rows == "error":
            refuse_bad_rows(run, None)
        X = X[usable]
    if len(X) < 2:
        raise InputError(
            f"{run.rows.uri}: {len(X)} of {count} rows drawn to measure errors on are finite, at least 2 are needed: "
            "clean the source, or raise compare.rows"
        )
    return X
