"""Further outputs computed from a row's coordinates: a cluster, a predicted value with its error, a class.

A head is the last, small part of a `LandmarkMap`. Each names the arrays it writes beside `embedding` and `residual`,
one value per row, with their dtypes, and in `undefined` their values for rows without coordinates: never a value that a
row with coordinates can have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array, sq_euclidean

F64 = NDArray[np.float64]
NO_CLUSTER = -1  # label of a row without coordinates: clusters are numbered from 0
NO_CLASS = -1  # class of such a row, unless it is one of the classes


@dataclass(frozen=True, eq=False)
class Clusters:
    """The nearest of c centroids (c, k), as `labels` int32; the lowest of equally near ones."""

    centroids: F64
    kind: ClassVar[str] = "clusters"
    arrays: ClassVar[dict[str, str]] = {"labels": "int32"}
    undefined: ClassVar[dict[str, float]] = {"labels": NO_CLUSTER}

    def read(self, embedding: Array, residual: Array) -> dict[str, Array]:
        """Labels (b,) of rows at `embedding` (b, k); NO_CLUSTER where it is NaN."""
        placed = np.isfinite(embedding).all(axis=1)
        labels = np.full(len(embedding), NO_CLUSTER, np.int32)
        if placed.any():
            near = sq_euclidean(np.asarray(embedding[placed], np.float64), self.centroids)
            labels[placed] = near.argmin(axis=1)
        return {"labels": labels}

    def to_state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and parameters."""
        return {"centroids": self.centroids}, {}


@dataclass(frozen=True, eq=False)
class Regression:
    """A predicted value, `prediction`, and where there is a noise variance its standard error, `std`.

    The embedding is the mean and the residual the latent variance, in units of `scale` squared, both standardised:
    prediction = center + scale y, std = scale sqrt(residual + noise), for a new observation, not only for its mean.
    Both are stored as float32, or as float64 where `wide`: float32 would not hold the target as well as it is known.
    """

    center: float
    scale: float
    noise: float | None
    wide: bool = False
    kind: ClassVar[str] = "regression"

    @property
    def arrays(self) -> dict[str, str]:
        """Names and dtypes of what is stored."""
        return dict.fromkeys(("prediction",) if self.noise is None else ("prediction", "std"), self.dtype)

    @property
    def dtype(self) -> str:
        """That of what is stored."""
        return "float64" if self.wide else "float32"

    @property
    def undefined(self) -> dict[str, float]:
        """NaN."""
        return dict.fromkeys(self.arrays, float("nan"))

    def read(self, embedding: Array, residual: Array) -> dict[str, Array]:
        """Values (b,) float64 of rows at `embedding` (b, 1); NaN where it is NaN."""
        out = {"prediction": self.center + self.scale * np.asarray(embedding[:, 0], np.float64)}
        if self.noise is not None:  # a variance may be -1e-15 by rounding
            out["std"] = self.scale * np.sqrt(np.maximum(np.asarray(residual, np.float64), 0) + self.noise)
        return out

    def to_state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and parameters."""
        return {}, {"center": self.center, "scale": self.scale, "noise": self.noise, "wide": self.wide}


@dataclass(frozen=True, eq=False)
class Classes:
    """The class of the largest score, `prediction`, the lowest of equal ones.

    classes (c,) are those met in the target, ascending: int64, or uint64 where int64 does not hold them.
    """

    classes: NDArray[np.int64] | NDArray[np.uint64]
    kind: ClassVar[str] = "classes"

    @property
    def arrays(self) -> dict[str, str]:
        """Name and dtype of what is stored."""
        return {"prediction": self.classes.dtype.name}

    @property
    def undefined(self) -> dict[str, float]:
        """NO_CLASS, or where that is a class (or unsigned) the outermost integer that is none."""
        known, limits = set(self.classes.tolist()), np.iinfo(self.classes.dtype)
        outermost = range(limits.min, 0) if limits.min < 0 else range(limits.max, 0, -1)
        free = NO_CLASS if limits.min < 0 and NO_CLASS not in known else next(v for v in outermost if v not in known)
        return {"prediction": free}

    def read(self, embedding: Array, residual: Array) -> dict[str, Array]:
        """Classes (b,) of rows with scores `embedding` (b, c); `undefined` where they are NaN."""
        placed = np.isfinite(embedding).all(axis=1)
        out = np.full(len(embedding), self.undefined["prediction"], self.classes.dtype)
        out[placed] = self.classes[embedding[placed].argmax(axis=1)]
        return {"prediction": out}

    def to_state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and parameters."""
        return {"classes": self.classes}, {}


Head = Clusters | Regression | Classes
HEADS: dict[str, Callable[..., Head]] = {one.kind: one for one in (Clusters, Regression, Classes)}


def head_from_state(kind: str, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> Head:
    """Rebuild a head from `to_state`."""
    return HEADS[kind](**arrays, **meta)
