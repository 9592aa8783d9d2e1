"""Orthogonal Procrustes: the rotation or reflection, and shift, that lays one set of coordinates onto another.

Schönemann 1966. There is no scaling: distances between points stay what they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError

F64 = NDArray[np.float64]
RANK_CUTOFF = 1e-10  # of the largest singular value: below it the points do not say how a direction is to be turned
ROUNDING = 1e-30  # of |target|^2: coinciding targets lie so far from their own mean


class Motion(NamedTuple):
    """y -> (y - shift) @ rotation, as `LandmarkMap.rotated` takes it, and how well it fits.

    rotation: (k, k) orthogonal, reflections among them. shift: (k,). residual: root of the mean squared distance left,
    over that of the targets from their mean (from 0 where no shift was allowed); a fraction of 1, NaN where all targets
    coincide.
    """

    rotation: F64
    shift: F64
    residual: float

    def __call__(self, points: F64) -> F64:
        """Points (s, k) moved."""
        return np.asarray((points - self.shift) @ self.rotation)


def procrustes(points: F64, targets: F64, *, shift: bool = True) -> Motion:
    """The motion that brings points (s, k) nearest to targets (s, j), in least squares.

    shift: False allows rotations about the origin alone. Where targets
    have fewer components, j < k, zeros stand for the others. Directions that the targets do not determine are turned
    as little as they can be.

    Raises InputError for j > k (a motion cannot add components), shapes that do not fit, and numbers not finite.
    """
    points, targets = np.asarray(points, np.float64), np.asarray(targets, np.float64)
    check_pairs(points, targets)
    w = np.full(len(points), 1 / len(points))
    k = points.shape[1]
    targets = np.pad(targets, ((0, 0), (0, k - targets.shape[1])))
    center = w @ points if shift else np.zeros(k)
    goal = w @ targets if shift else np.zeros(k)
    rotation = turn((points - center).T @ ((targets - goal) * w[:, None]))
    motion = center - goal @ rotation.T
    left = (points - motion) @ rotation - targets
    spread = float(w @ np.vecdot(targets - goal, targets - goal))
    misfit = float(w @ np.vecdot(left, left))
    apart = spread > ROUNDING * float(w @ np.vecdot(targets, targets))
    return Motion(rotation, motion, float(np.sqrt(misfit / spread)) if apart else float("nan"))


def turn(cross: F64) -> F64:
    """The orthogonal R (k, k) of largest trace(R^T cross), for cross = points^T targets.

    cross = U S V^T gives R = U V^T. Null directions of cross, U0 and V0, are paired by the orthogonal polar factor of
    U0^T V0: of all choices the one nearest to the identity, and the same on every machine.
    """
    U, S, Vt = np.linalg.svd(cross)
    rank = int((RANK_CUTOFF * S[0] < S).sum()) if S[0] > 0 else 0
    R = U[:, :rank] @ Vt[:rank]
    if rank < len(S):
        P, _, Qt = np.linalg.svd(U[:, rank:].T @ Vt[rank:].T)
        R = R + U[:, rank:] @ (P @ Qt) @ Vt[rank:]
    return np.asarray(R)


def check_pairs(points: F64, targets: F64) -> None:
    """InputError for what is no two sets of paired points."""
    if points.ndim != 2 or targets.ndim != 2 or len(points) != len(targets) or len(points) == 0:
        raise InputError(
            f"procrustes: got points of shape {points.shape} and targets of shape {targets.shape}, needs (s, k) and "
            "(s, j) with the same s of at least 1: pass the same points in both sets, in the same order"
        )
    if targets.shape[1] > points.shape[1]:
        raise InputError(
            f"procrustes: targets have {targets.shape[1]} components, points {points.shape[1]}, and no motion adds "
            f"components: give the points at least {targets.shape[1]}, or drop the last of the targets"
        )
    bad = int((~(np.isfinite(points).all(axis=1) & np.isfinite(targets).all(axis=1))).sum())
    if bad:
        raise InputError(f"procrustes: {bad} of {len(points)} pairs hold NaN or Inf: leave them out")
