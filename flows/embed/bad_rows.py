"""Rows with NaN or Inf, refused by what all of the source holds."""

from __future__ import annotations

from flows.embed.plan import Plan
from flows.embed.run import Run
from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.passes.extension import count_bad_block
from landmark_ops.passes.ranges import ranges, task_rows
from landmark_ops.row_range import RowRange


def refuse_bad_rows(run: Run, plan: Plan | None, cause: InputError | None = None) -> None:
    """Count the rows with NaN or Inf over the whole source and raise BadRowsError; return if there are none.

    `cause`: what was said of the first rows met, in place of which this stands.
    """
    items: list[RowRange] = ranges(run.rows.n, plan.step if plan else task_rows(run.rows))
    count, first = 0, run.rows.n
    for _, (bad, index) in run.engine.imap(count_bad_block, items, run.rows):
        count += bad
        first = min(first, index) if bad else first
    if count:
        raise BadRowsError(count, first, run.rows.n, run.rows.named) from cause
