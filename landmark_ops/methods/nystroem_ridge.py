"""Ridge regression and classification on Nystrom features: kernel ridge from m landmarks, in one pass over n rows.

minimises |y - b - F beta|^2 + alpha |beta|^2 with F F^T = Q = K_fu K_uu^-1 K_uf: kernel ridge with Q for K. So alpha
is that of scikit-learn's KernelRidge, whatever n and m: without an intercept and with every row a landmark the
predictions are KernelRidge(alpha)'s; with one they are Ridge(alpha)'s on the features, or KernelRidge's on the
centred kernel. Large alpha is smooth; alpha is the noise variance of a Gaussian process of signal variance 1.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from landmark_ops.errors import InputError, Word
from landmark_ops.maps.class_sums import ClassSums, add_class_sums, class_sums, narrow_classes
from landmark_ops.maps.heads import Classes, Head, Regression
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import Sum
from landmark_ops.maps.target_numbers import check_numbers, needs_double
from landmark_ops.maps.target_sums import TargetSums, about, add_target_sums, target_sums
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.eigen import Spectrum, symmetric_eigen
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.solver.features import nystrom_features
from landmark_ops.solver.kernel_section import KernelSection
from landmark_ops.solver.method import OfKernel, Solution, too_alike
from landmark_ops.solver.section import METHODS, Cost, Sizes

F64 = NDArray[np.float64]
Task = Literal["regression", "classification"]

RESOLVED = 1e-5  # of the largest variance of the features: what rounding of their mean may come to


@dataclass(frozen=True)
class NystroemRidgeMethod(OfKernel):
    """Nystrom ridge as a `Method`; classification is one ridge per class on targets -1 and 1, the largest wins."""

    kernel: KernelChoice
    alpha: float = 1.0
    task: Task = "regression"
    intercept: bool = True

    passes = 1

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """Features, one pass for their sums with the target, and an r x r eigenproblem; float64 throughout.

        In float32 the features along small eigenvalues would be noise, and a small alpha lets them in.

        Raises InputError for alpha not positive or not finite, and for an unknown task.
        """
        if not (np.isfinite(self.alpha) and self.alpha > 0):
            raise InputError(f"alpha={self.alpha}: must be positive and finite; 1e-9 comes close to no regularisation")
        if self.task not in ("regression", "classification"):
            raise InputError(f"task={self.task!r} is unknown: choose regression or classification")
        features = nystrom_features(self.kernel, Z, np.dtype(np.float64))
        maps = (replace(features.map, double=True),)
        if self.task == "classification":
            classes: ClassSums = yield Sum(maps, class_sums, add_class_sums, targets=True, name="sums with target")
            return self.classify(features, classes)
        summed: TargetSums = yield Sum(maps, target_sums, add_target_sums, targets=True, name="sums with target")
        return self.regress(features, summed)

    def regress(self, features: Solution, summed: TargetSums) -> Solution:
        """One ridge, on the target in units of its standard deviation."""
        n = summed.rows
        refuse_none(n)
        check_numbers(summed.low, summed.high, summed.integer, summed.yy / n)
        center = summed.center if self.intercept else 0.0
        _, ones, fy, _, _, yy, _, _ = about(summed, center)
        assert isinstance(yy, float)
        scale = float(np.sqrt(yy / n)) if yy > 0 else 1.0
        ridge = Ridge.of(summed.gram, np.asarray(ones), n, self.alpha, self.intercept)
        refuse_offset(ridge, features)
        beta = ridge.solve(np.asarray(fy)[:, None] / scale)
        facts = ridge.facts()
        misfit = max(yy - scale**2 * float(ridge.explained(np.asarray(fy)[:, None] / scale)[0]), 0.0)
        facts["training RMSE"] = float(np.sqrt(misfit / n))
        if ridge.freedom < n:
            # Golub, Heath & Wahba 1979: estimates the leave-one-out error, for choosing alpha and m
            facts["RMSE by generalised cross-validation"] = float(np.sqrt(misfit * n) / (n - ridge.freedom))
        offset = -ridge.mean @ beta
        wide = needs_double(summed, float(np.sqrt(misfit / n)))
        return self.finish(features, ridge, beta, offset, Regression(center, scale, None, wide), facts)

    def classify(self, features: Solution, summed: ClassSums) -> Solution:
        """One ridge per class c on targets 1 for its rows and -1 for all others: F^T y = 2 sum_c f - sum f.

        Raises InputError where all rows are of one class.
        """
        n = summed.rows
        refuse_none(n)
        if len(summed.classes) < 2:
            raise InputError(
                f"{Word.TARGET}: all {n:,} rows are of class {summed.classes[0]}, at least 2 classes are needed: "
                "check the target"
            )
        ones = summed.totals.sum(axis=0)
        ridge = Ridge.of(summed.gram, ones, n, self.alpha, self.intercept)
        refuse_offset(ridge, features)
        means = 2 * summed.counts / n - 1 if self.intercept else np.zeros(len(summed.classes))
        beta = ridge.solve((2 * summed.totals - ones).T - np.outer(ones, means))
        facts = {**ridge.facts(), "classes": float(len(summed.classes))}
        head = Classes(narrow_classes(summed.classes))
        return self.finish(features, ridge, beta, means - ridge.mean @ beta, head, facts)

    def finish(
        self, features: Solution, ridge: Ridge, beta: F64, offset: F64, head: Head, facts: dict[str, float | str]
    ) -> Solution:
        """The map block -> block W^-1/2 beta + offset. Its residual is undefined: it would cost m^2 per row."""
        start = features.map
        fitted = LandmarkMap(start.landmarks, start.block, start.readout @ beta, offset, None, head=head, double=True)
        return features._replace(
            map=fitted,
            embedding=features.embedding @ beta + offset,
            eigenvalues=ridge.variances(beta),
            facts=facts,
        )


@METHODS.register
class NystroemRidgeConfig(KernelSection):
    """Kernel ridge regression, or classification by one ridge per class, on Nystrom features."""

    title = "Nystrom ridge"
    supervised = True
    grows = False
    solver = NystroemRidgeMethod

    name: Literal["nystroem_ridge"]
    task: Task = "regression"
    alpha: PositiveFloat = 1.0

    def width(self, m: int) -> int:
        """One value, or one score per class; as a config does not say how many classes, 10."""
        return 1 if self.task == "regression" else 10

    def cost(self, sizes: Sizes) -> Cost:
        """As of all kernel methods, with sums in float64."""
        return super().cost(sizes._replace(itemsize=8))


@dataclass(frozen=True, eq=False)
class Ridge:
    """The eigenproblem of ridges on n rows of features with mean `mean` (r,), or 0 without an intercept."""

    spectrum: Spectrum
    mean: F64
    n: int
    alpha: float
    intercept: bool

    @staticmethod
    def of(gram: F64, ones: F64, n: int, alpha: float, intercept: bool) -> Ridge:
        """From F^T F (r, r) and F^T 1 (r,)."""
        mean = ones / n if intercept else np.zeros(len(ones))
        spectrum = symmetric_eigen(gram - n * np.outer(mean, mean))
        return Ridge(spectrum._replace(values=np.maximum(spectrum.values, 0)), mean, n, alpha, intercept)

    @property
    def freedom(self) -> float:
        """Effective degrees of freedom, the trace of the matrix that takes y to its predictions."""
        gains = self.spectrum.values
        return float((gains / (gains + self.alpha)).sum()) + self.intercept

    @cached_property
    def inverse(self) -> F64:
        """1 / (gain + alpha) of each direction, (r,); 0 where both are rounding of the largest gain."""
        gains = self.spectrum.values
        floor = len(gains) * np.finfo(np.float64).eps * gains[0]
        held = np.maximum(gains, self.alpha) > floor
        return np.divide(1.0, gains + self.alpha, out=np.zeros(len(gains)), where=held)

    def solve(self, fy: F64) -> F64:
        """beta (r, t) for F^T Y (r, t), of targets about their mean where there is an intercept."""
        U = self.spectrum.vectors
        return np.asarray(U @ (U.T @ fy * self.inverse[:, None]))

    def explained(self, fy: F64) -> F64:
        """|y|^2 - |y - F beta|^2 of each target, (t,)."""
        gains, U = self.spectrum
        with np.errstate(over="ignore"):  # for an alpha near the end of float64, nothing is explained
            share = (gains + 2 * self.alpha) * self.inverse * self.inverse
        return np.asarray(((U.T @ fy) ** 2 * share[:, None]).sum(axis=0))

    def variances(self, beta: F64) -> F64:
        """Variance over the rows of each column of F beta, (t,)."""
        gains, U = self.spectrum
        return np.asarray(((U.T @ beta) ** 2 * gains[:, None]).sum(axis=0) / self.n)

    def facts(self) -> dict[str, float | str]:
        """Numbers for the report of any ridge."""
        return {
            "alpha": self.alpha,
            "effective degrees of freedom": self.freedom,
            "training rows": float(self.n),
        }


def refuse_none(rows: int) -> None:
    """InputError where nothing can be learned from."""
    if rows == 0:
        raise InputError(f"{Word.TARGET}: no row has both coordinates and a finite target: check it{Word.OR_HOLD_LESS}")


def refuse_offset(ridge: Ridge, features: Solution) -> None:
    """InputError where the features' mean is so large beside what varies that centring them leaves too few digits."""
    squared, top = float(ridge.mean @ ridge.mean), float(ridge.spectrum.values[0]) + ridge.alpha
    if np.finfo(np.float64).eps * ridge.n * squared > RESOLVED * top:
        raise too_alike(features.map.block, ridge.n)
