"""Adding landmarks to a fitted map without moving its coordinates: keep the old landmarks, align the new map.

A new map has axes of its own: components may turn, flip and shift although every distance is kept. Where the old
landmarks are placed by the new map, one motion (Procrustes) lays them onto their old coordinates, and the map is
followed by that motion. The remaining difference is how far the embedding has really changed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import Edge, InputError, Word, check_argument, speaks
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.procrustes import Motion, procrustes
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.solver.method import F64, Solution

MOVED = "old landmarks moved, relative RMS"


@speaks(Edge.CALL)
def align_map(new: LandmarkMap, old: LandmarkMap, points: Array | None = None) -> LandmarkMap:
    """The map `new` with its coordinates turned and shifted onto those of `old`, as near as they come.

    points: rows (s, d) that both maps place to find the motion, the landmarks of `old` if left out. `new` may have
    more components, never fewer.

    >>> import numpy as np
    >>> from landmark_ops import LandmarkMDS
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> old = LandmarkMDS(3, n_landmarks=20, random_state=0).fit(X).map_
    >>> new = LandmarkMDS(3, n_landmarks=60, random_state=1).fit(X).map_
    >>> bool(np.abs(align_map(new, old)(X) - old(X)).max() < 1e-8)
    True
    """
    check_argument("new", new, LandmarkMap, "a LandmarkMap")
    check_argument("old", old, LandmarkMap, "a LandmarkMap")
    points = old.landmarks if points is None else np.asarray(points)
    if points.dtype.kind not in "fiub":
        raise InputError(f"points of type {points.dtype}: needs rows of numbers, (s, {old.n_features})")
    motion = find_motion(new, points, place(old, points))
    return new.rotated(motion.rotation, motion.shift)


def align_solution(solution: Solution, old: LandmarkMap) -> Solution:
    """The solution with its map, landmark coordinates and eigenvalues moved onto an older map, by its landmarks.

    Eigenvalues become the diagonal of R^T L R: what the landmarks spread along the turned axes, with the same sum; for
    more components than the old ones had they are no longer in descending order. `facts` say how far the old points
    still moved.
    """
    motion = find_motion(solution.map, old.landmarks, place(old, old.landmarks))
    R = motion.rotation
    return solution._replace(
        map=solution.map.rotated(R, motion.shift),
        embedding=motion(solution.embedding),
        eigenvalues=np.einsum("ij,i,ij->j", R, solution.eigenvalues, R),
        facts={**solution.facts, MOVED: motion.residual},
    )


def find_motion(new: LandmarkMap, points: Array, targets: F64) -> Motion:
    """The motion of the coordinates of `new` that brings points (s, d) nearest to targets (s, j).

    Points without coordinates under either map are left out.
    Raises InputError for maps with a head, which depends on fixed coordinates, and where no points are left to align
    by.
    """
    if new.head is not None:
        raise InputError(
            f"this map ends in {new.head.kind}, read off its coordinates as they are: its labels and predictions do "
            "not depend on axes, leave it unaligned"
        )
    if len(points) != len(targets):
        raise InputError(f"align: got {len(points)} points and {len(targets)} coordinates, needs one per point")
    if targets.shape[1] > new.n_components:
        raise InputError(
            f"align: the old embedding has {targets.shape[1]} components, the new map {new.n_components}: raise "
            f"{Word.N_COMPONENTS} to at least {targets.shape[1]}, or start a new embedding"
        )
    placed = place(new, points)
    good = np.isfinite(placed).all(axis=1) & np.isfinite(targets).all(axis=1)
    if not good.any():
        raise InputError(
            f"align: none of the {len(points)} old points has coordinates under both maps: are they rows of the same "
            "source, and the metric or kernel the same?"
        )
    scaled = new.scale is not None or new.unit_rows
    return procrustes(placed[good], targets[good], shift=not scaled)


def place(fitted: LandmarkMap, points: Array) -> F64:
    """Points (s, d) placed in float64, (s, k)."""
    return np.asarray(fitted(np.asarray(points, np.float64)), np.float64)


def grow_landmarks(old: Landmarks, select: Callable[[int], Landmarks], count: int) -> Landmarks:
    """`count` landmarks: the old ones in their order, then those that `select(m)` finds and that are not among them.

    `select` is asked for as many as are lacking, and again for more where some are old ones: the first of its answer
    are taken. A strategy chooses as if there were no old ones: maxmin may put a new landmark beside an old one. Give
    `select` another seed than the old ones had: with the same one, most strategies find the same rows first.
    Weights are those of both parts, each scaled to its share of the count.

    Raises InputError where `count` is not above the old number, features differ, or distinct ones run out.
    """
    held = len(old.points)
    if count <= held:
        raise InputError(
            f"{Word.COUNT}={count}: there are {held} old landmarks already, and all are kept: raise {Word.COUNT} "
            f"above {held}"
        )
    lacking = count - held
    ask = lacking
    while True:
        chosen = select(ask)
        if chosen.points.shape[1:] != old.points.shape[1:]:
            raise InputError(
                f"the old landmarks have {old.points.shape[1]} features, the rows {chosen.points.shape[1]}: old and "
                "new embedding need the same features"
            )
        fresh = not_among(chosen, old)
        if len(fresh) >= lacking:
            break
        if ask >= count:  # at most `held` of so many are old ones
            raise InputError(
                f"{Word.COUNT}={count}: only {held + len(fresh)} distinct landmarks are found, {held} of them old: "
                f"lower {Word.COUNT} to at most {held + len(fresh)}"
            )
        # If few were old ones, a few more are enough; if many, the strategy repeats itself: ask for all at once.
        ask = ask + lacking - len(fresh) if 2 * len(fresh) >= lacking else count
        ask = min(ask, count)
    fresh = fresh[:lacking]
    both = np.result_type(old.points, chosen.points)
    weights = (old.weights * (held / count), chosen.weights[fresh] * (len(chosen.weights) / count))
    return Landmarks(
        np.concatenate([old.indices, chosen.indices[fresh]]),
        np.concatenate([old.points.astype(both), chosen.points[fresh].astype(both)]),
        np.concatenate(weights),
        f"{held} landmarks of an earlier embedding, and {lacking} added by {chosen.note}",
    )


def not_among(chosen: Landmarks, old: Landmarks) -> NDArray[np.int64]:
    """Positions in `chosen` of new landmarks: neither old ones nor repeats, i.e. the same row, or an equal point."""
    both = np.result_type(old.points, chosen.points)
    known = {int(index) for index in old.indices if index >= 0}
    seen = {point.tobytes() for point in old.points.astype(both)}
    fresh = []
    for at, (index, point) in enumerate(zip(chosen.indices, chosen.points.astype(both), strict=True)):
        key = point.tobytes()
        if int(index) in known or key in seen:
            continue
        known.update({int(index)} - {-1})
        seen.add(key)
        fresh.append(at)
    return np.asarray(fresh, np.int64)
