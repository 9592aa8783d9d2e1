"""The extend stage: every row placed and written by all methods that lack it."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from flows.base.stage import stage
from flows.embed.run import Run
from flows.embed.sample import Sample, gather_sample
from flows.embed.solved_method import Work
from landmark_ops.errors import RunError
from landmark_ops.maps.causes import Cause
from landmark_ops.maps.tally import Found, add_tallies
from landmark_ops.numerics.distances import Array
from landmark_ops.passes.extension import extend_block
from landmark_ops.passes.ranges import ranges
from landmark_ops.passes.undefined_rows import find_causes, refuse_undefined
from landmark_ops.row_range import RowRange


@stage("extend")
def extend_stage(run: Run, works: list[Work], sample: NDArray[np.int64]) -> list[Sample]:
    """Place and write every row not yet committed; hand back the sampled rows, of earlier chunks too.

    Rows are read once for all methods that still need them.
    """
    lacking: dict[RowRange, list[Work]] = {}
    for work in works:
        for item in work.records.items(committed=False):
            lacking.setdefault(item, []).append(work)
    groups: dict[tuple[int, ...], list[RowRange]] = {}
    for item, members in sorted(lacking.items()):
        groups.setdefault(tuple(works.index(work) for work in members), []).append(item)
    rows: dict[RowRange, Array] = {}
    with run.progress.stage("extend", sum(item.size for item in lacking)):
        try:
            for members_at, items in groups.items():
                extend_group(run, [works[at] for at in members_at], items, sample, rows)
        except BaseException:
            for work in works:
                with suppress(OSError, RunError):  # the output may be what failed: its reason is the one to tell
                    work.records.flush()
            raise
        for work in works:
            work.records.flush()
    return [gather_sample(run, work, sample, rows) for work in works]


def extend_group(
    run: Run, works: list[Work], items: list[RowRange], sample: Array, rows: dict[RowRange, Array]
) -> None:
    """Place the rows of `items` for the methods that all lack them; `rows` takes up the sampled ones."""
    strict = run.config.source.bad_rows == "error"
    outputs = tuple(work.output for work in works)
    done = run.progress.rows_done
    for item, part in run.engine.imap(extend_block, items, run.rows, outputs, sample, done=done):
        for work, written, undefined in zip(works, part.written, part.undefined, strict=True):
            if written.bad_rows and strict and not work.part.config.method.leaves_rows_out:
                everything = ranges(run.rows.n, work.records.chunk_rows)
                refuse_undefined(run.rows, work.solution.map, run.engine, everything, work.solution.blocks)
            work.records.add(item[0], written)
            work.undefined[item] = undefined
        rows[item] = part.rows


def why_undefined(run: Run, work: Work) -> dict[Cause, Found]:
    """Why rows of a method have no coordinates; chunks placed by an interrupted run are looked at again."""
    records = work.records
    held = [item for item in records.items(committed=True) if records.bad_rows[item[0] // records.chunk_rows]]
    unknown = [item for item in held if item not in work.undefined]
    again = find_causes(run.rows, work.solution.map, run.engine, unknown, work.solution.blocks)
    return add_tallies([again, *work.undefined.values()])
