"""The extend stage: every row placed and written by all methods that lack it."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from flows.base.stage import stage
from flows.embed.run import Run
from flows.embed.sample import PlacedSample, gather_sample
from flows.embed.solved_method import SolvedMethod
from landmark_ops.errors import RunError
from landmark_ops.maps.causes import Cause
from landmark_ops.maps.tally import Found, add_tallies
from landmark_ops.numerics.distances import Array
from landmark_ops.passes.extension import extend_block
from landmark_ops.passes.ranges import ranges
from landmark_ops.passes.undefined_rows import find_causes, refuse_undefined
from landmark_ops.row_range import RowRange


@stage("extend")
def extend_stage(run: Run, methods: list[SolvedMethod], sample: NDArray[np.int64]) -> list[PlacedSample]:
    """Place and write every row not yet committed; hand back the sampled rows, of earlier chunks too.

    Rows are read once for all methods that still need them.
    """
    lacking: dict[RowRange, list[SolvedMethod]] = {}
    for solved in methods:
        for item in solved.records.items(committed=False):
            lacking.setdefault(item, []).append(solved)
    groups: dict[tuple[int, ...], list[RowRange]] = {}
    for item, members in sorted(lacking.items()):
        groups.setdefault(tuple(methods.index(solved) for solved in members), []).append(item)
    rows: dict[RowRange, Array] = {}
    with run.progress.stage("extend", sum(item.size for item in lacking)):
        try:
            for members_at, items in groups.items():
                extend_group(run, [methods[at] for at in members_at], items, sample, rows)
        except BaseException:
            for solved in methods:
                with suppress(OSError, RunError):  # where writing the output failed, report that reason
                    solved.records.flush()
            raise
        for solved in methods:
            solved.records.flush()
    return [gather_sample(run, solved, sample, rows) for solved in methods]


def extend_group(
    run: Run, methods: list[SolvedMethod], items: list[RowRange], sample: Array, rows: dict[RowRange, Array]
) -> None:
    """Place the rows of `items` for the methods that all lack them; `rows` takes up the sampled ones."""
    strict = run.config.source.bad_rows == "error"
    destinations = tuple(solved.destination for solved in methods)
    done = run.progress.rows_done
    for item, extended in run.engine.imap(extend_block, items, run.rows, destinations, sample, done=done):
        for solved, written, undefined in zip(methods, extended.written, extended.undefined, strict=True):
            if written.bad_rows and strict and not solved.output.config.method.leaves_rows_out:
                everything = ranges(run.rows.n, solved.records.chunk_rows)
                refuse_undefined(run.rows, solved.solution.map, run.engine, everything, solved.solution.blocks)
            solved.records.add(item[0], written)
            solved.undefined[item] = undefined
        rows[item] = extended.rows


def why_undefined(run: Run, solved: SolvedMethod) -> dict[Cause, Found]:
    """Why rows of a method have no coordinates; chunks placed by an interrupted run are looked at again."""
    records = solved.records
    held = [item for item in records.items(committed=True) if records.bad_rows[item[0] // records.chunk_rows]]
    unknown = [item for item in held if item not in solved.undefined]
    again = find_causes(run.rows, solved.solution.map, run.engine, unknown, solved.solution.blocks)
    return add_tallies([again, *solved.undefined.values()])
