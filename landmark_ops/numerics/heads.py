"""What is read off a row's coordinates beyond them: a cluster, a predicted value with its error, a class.

A head is the last, small part of a `LandmarkMap`. Each names the arrays it writes beside `embedding` and `residual`,
one value per row, and what stands in them for rows that have no coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array, sq_euclidean

F64 = NDArray[np.float64]
NO_CLUSTER = -1  # label of a row without coordinates; also its class where classes are integers


@dataclass(frozen=True, eq=False)
class Clusters:
    """The nearest of c centroids (c, k), as `labels` int32; the lowest of equally near ones."""

    centroids: F64
    kind: ClassVar[str] = "clusters"
    arrays: ClassVar[dict[str, str]] = {"labels": "int32"}

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
    """A predicted value, `prediction` float32, and where there is a noise variance its standard error, `std`.

    The embedding is the mean and the residual the latent variance, in units of `scale` squared, both standardised:
    prediction = center + scale y, std = scale sqrt(residual + noise), for a new observation, not only for its mean.
    """

    center: float
    scale: float
    noise: float | None
    kind: ClassVar[str] = "regression"

    @property
    def arrays(self) -> dict[str, str]:
        """Names and dtypes of what `read` gives."""
        return {"prediction": "float32"} | ({} if self.noise is None else {"std": "float32"})

    def read(self, embedding: Array, residual: Array) -> dict[str, Array]:
        """Values (b,) of rows at `embedding` (b, 1); NaN where it is NaN."""
        out = {"prediction": self.center + self.scale * embedding[:, 0]}
        if self.noise is not None:
            out["std"] = self.scale * np.sqrt(np.maximum(residual, 0) + self.noise)
        return out

    def to_state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and parameters."""
        return {}, {"center": self.center, "scale": self.scale, "noise": self.noise}


@dataclass(frozen=True, eq=False)
class Classes:
    """The class of the largest score, `prediction` int64: classes (c,) are those met in the target, ascending."""

    classes: NDArray[np.int64]
    kind: ClassVar[str] = "classes"
    arrays: ClassVar[dict[str, str]] = {"prediction": "int64"}

    def read(self, embedding: Array, residual: Array) -> dict[str, Array]:
        """Classes (b,) of rows with scores `embedding` (b, c); NO_CLUSTER where they are NaN."""
        placed = np.isfinite(embedding).all(axis=1)
        out = np.full(len(embedding), NO_CLUSTER, np.int64)
        out[placed] = self.classes[embedding[placed].argmax(axis=1)]
        return {"prediction": out}

    def to_state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and parameters."""
        return {"classes": self.classes}, {}


Head = Clusters | Regression | Classes


def head_from_state(kind: str, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> Head:
    """Rebuild a head from `to_state`."""
    if kind == Clusters.kind:
        return Clusters(arrays["centroids"])
    return Classes(arrays["classes"]) if kind == Classes.kind else Regression(**meta)
