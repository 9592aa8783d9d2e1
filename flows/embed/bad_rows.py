"""Refusal of rows with NaN or Inf, which counts them over the whole source."""

from __future__ import annotations

from flows.embed.plan import Plan
from flows.embed.run import Run
from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.passes.bad_rows import count_bad_rows
from landmark_ops.passes.ranges import ranges, task_rows


def refuse_bad_rows(run: Run, plan: Plan | None, cause: InputError | None = None) -> None:
    """Count the rows with NaN or Inf over the whole source and raise BadRowsError; return if there are none.

    `cause`: the error about the first such rows met, which this one replaces.
    """
    items = ranges(run.rows.n, plan.step if plan else task_rows(run.rows))
    count, first = count_bad_rows(run.rows, run.engine, items)
    if count:
        raise BadRowsError(count, first, run.rows.n, run.rows.named) from cause
