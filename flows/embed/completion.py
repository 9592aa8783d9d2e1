"""The complete stage: the checks that an embedding has to pass before its status is complete."""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.base.stage import stage
from flows.embed.run import Run
from flows.embed.solved_method import SolvedMethod
from flows.embed.sources import fingerprint_of
from landmark_ops.errors import RunError

TOLD = 4  # spacings of float32 that coordinates differ by before they are told apart
CONSTANT = 1e-6  # of a target's standard deviation
COLLAPSED = 1e-3  # of the spread of the landmarks: rows that include them cannot lie closer together


@stage("complete")
def complete_stage(
    run: Run, solved: SolvedMethod, quality: dict[str, Any], bad_rows: int, undefined: dict[str, Any]
) -> None:
    """Check that the source is still the one that was read, then turn the status to complete: the last write."""
    if fingerprint_of(run.rows, run.targets) != run.fingerprint or run.source_was_written():
        # Useless: it must not be resumed, and must not block the next run.
        solved.output.store.update(map_sha256=None)
        raise RunError(
            f"{run.rows.uri}: changed while it was read, the embedding mixes old and new rows and stays incomplete: "
            "run again once the source is at rest"
        )
    fail_collapsed(run, solved)
    stages = {stage.name: round(stage.seconds, 3) for stage in run.progress.stages}
    solved.output.store.complete(quality=quality, bad_rows=bad_rows, undefined=undefined, seconds=stages)


def fail_collapsed(run: Run, solved: SolvedMethod) -> None:
    """RunError where rows lie together although the landmarks among them do not: the map does not place its own rows.

    Looks at the extents that every chunk recorded. Landmarks that are no rows (centres, given points, those of an
    earlier source) need not be near any row, and values that float32 cannot tell apart in a component are no fault of
    the map.
    """
    rows = solved.landmarks.indices >= 0
    placed = np.asarray(solved.solution.embedding, np.float64)[rows]
    placed = placed[np.isfinite(placed).all(axis=1)]
    if len(placed) == 0 or run.rows.n <= int(solved.records.bad_rows.sum()):
        return
    low, high = np.fmin.reduce(solved.records.low, axis=0), np.fmax.reduce(solved.records.high, axis=0)
    spread, expected = high.astype(np.float64) - low, np.ptp(placed, axis=0)
    told = expected > TOLD * np.spacing(np.fmax(np.abs(low), np.abs(high)).astype(np.float32))
    supervised = run.config.target is not None  # predictions of a constant target are constant, but for rounding
    lost = np.flatnonzero(told & (spread < COLLAPSED * expected) & (expected > (CONSTANT if supervised else 0)))
    if len(lost):
        raise RunError(
            f"{solved.output.store.uri}: all rows lie within {spread[lost[0]]:.3g} of each other in component "
            f"{lost[0]}, where the landmarks, which are among them, spread over {expected[lost[0]]:.3g}: the "
            "embedding is wrong and stays incomplete; scale the rows by a power of ten, and report this"
        )
    if not supervised and not spread.any() and not told.any() and expected.any():
        raise RunError(
            f"{solved.output.store.uri}: all rows come out at one point, {float(low[0]):.6g} in component 0: the "
            f"{expected[0]:.3g} between them are beyond the digits of float32, in which coordinates are stored, and "
            "the embedding stays incomplete: subtract the mean of the rows, or choose a larger gamma"
        )
