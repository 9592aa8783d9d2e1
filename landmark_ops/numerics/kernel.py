"""Kernels between b rows and m landmarks: a kernel with its parameters, and the entry that its file registers.

Each has a file in `kernels/`, with scikit-learn's definitions and a bandwidth from the median distance of landmarks.
Everything else asks the entry there (`Kernel.family`); nothing else tells kernels apart by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.callables import Callback, call_blockwise, is_blockwise
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.domains import Domain, Words
from landmark_ops.numerics.metric import Metric
from landmark_ops.registry import Registry

F64 = NDArray[np.float64]

PAIR_BATCH = 16  # rows per call when only the diagonal of a callable kernel is wanted


@dataclass(frozen=True)
class KernelChoice:
    """A kernel by name or as a callable, with its parameters as the user gave them; gamma None is the median rule.

    The parameters are declared here: sections of configs, estimators and `Kernel` take them over. `gamma` is
    1/length-scale for matern; `degree` is of polynomial, `coef0` of polynomial and sigmoid, `nu` of matern.
    """

    kernel: str | Callback = "rbf"
    gamma: float | None = None
    degree: float = 3.0
    coef0: float = 1.0
    nu: float = 1.5

    @staticmethod
    def of(given: Any) -> KernelChoice:
        """The choice among the parameters of a section of a config or of an estimator, which have the same names."""
        return KernelChoice(given.kernel, **{name: getattr(given, name) for name in PARAMETERS})

    @property
    def family(self) -> KernelFamily:
        """The entry of the kernel; InputError with the nearest names for one that is unknown."""
        return CALLED if callable(self.kernel) else KERNELS[self.kernel]

    @property
    def canonical(self) -> str:
        """The one name of the kernel; `callable` for a user's own."""
        return self.family.name

    def resolve(self, Z: Array) -> Kernel:
        """The kernel with all parameters fixed; gamma from the rows Z (m, d) where none was given.

        Raises InputError for unknown names, parameters that the kernel is not defined for, and rows Z that it is not
        defined for or that have no median distance.
        """
        family = self.family
        if callable(self.kernel):
            return Kernel(self.kernel, blockwise=is_blockwise(self.kernel, Z, {}))
        if self.gamma is not None and not (np.isfinite(self.gamma) and self.gamma > 0):
            raise InputError(
                f"gamma={self.gamma} for kernel {family.name}: must be positive and finite, or left out for the median "
                "rule"
            )
        for name, value in self.numbers.items():
            if value is not None and not np.isfinite(value):
                raise InputError(f"{name}={value} for kernel {family.name}: must be a finite number")
        family.check(self, Z)
        gamma = family.default_gamma(np.asarray(Z, np.float64)) if self.gamma is None else float(self.gamma)
        return Kernel(family.name, **{**self.numbers, "gamma": gamma})

    @property
    def numbers(self) -> dict[str, Any]:
        """The parameters by name, without the kernel itself."""
        return {name: getattr(self, name) for name in PARAMETERS}

    def selection_metric(self) -> Metric:
        """The distance in which landmarks are spread out."""
        return Metric(self.family.geometry or "euclidean")


#: The names of a kernel's parameters.
PARAMETERS = tuple(one.name for one in fields(KernelChoice) if one.name != "kernel")


@dataclass(frozen=True)
class Kernel(KernelChoice):
    """A kernel with all its parameters resolved; `blockwise` tells whether a callable takes blocks or pairs of rows."""

    gamma: float = 1.0
    blockwise: bool = False

    @property
    def name(self) -> str:
        """The one name of the kernel; `callable` for a user's own."""
        return self.canonical

    @property
    def fn(self) -> Callback | None:
        """The user's callable where the kernel is one."""
        return self.kernel if callable(self.kernel) else None

    @property
    def transform(self) -> str | None:
        """The row transform T under which the kernel is T(x).T(z), or None where it is not."""
        return self.family.transform

    @property
    def overflows(self) -> bool:
        """Whether values are not finite in float64 only where they overflow."""
        return self.family.overflows


class KernelFamily(ABC):
    """The entry of a kernel: its properties and functions, for any parameters."""

    name: str
    aliases: tuple[str, ...] = ()
    #: Which parameters of `KernelChoice` it looks at.
    parameters: tuple[str, ...] = ()
    #: The metric with whose distance it falls, in which landmarks are spread; None where there is none.
    geometry: str | None = "euclidean"
    #: Whether it shares the order of those distances only roughly.
    roughly = False
    #: Whether k(x, x) is 1 and no value is negative, whatever the rows.
    never_negative = False
    #: Whether it may be a covariance: positive semidefinite on any rows.
    covariance = True
    #: Whether rows are their own values with landmarks chosen already, so that no two rows can be compared.
    precomputed = False
    #: The row transform T under which it is T(x).T(z), so that it folds into a linear map.
    transform: str | None = None
    #: Whether values are not finite in float64 only where they overflow.
    overflows = False
    #: Its domain, where not every finite row will do.
    domain: Domain | None = None

    @abstractmethod
    def block(self, X: Array, Z: Array, kernel: Kernel) -> Array:
        """The kernel between rows X (b, d) and landmarks Z (m, d), (b, m), in the dtype of X where BLAS computes it."""

    def diagonal(self, X: Array, kernel: Kernel) -> Array:
        """k(x, x) of the rows X (b, d), (b,)."""
        return np.ones(len(X), X.dtype)

    def default_gamma(self, Z: F64) -> float:
        """The bandwidth where none is given, from the landmarks Z (m, d)."""
        return 1.0

    def check(self, choice: KernelChoice, Z: Array) -> None:
        """InputError for parameters or landmarks Z (m, d) that the kernel is not defined for."""
        return None

    def not_a_number(self, kernel: Kernel) -> Words | None:
        """Why values of finite rows may be NaN, where it is known."""
        return None

    def prepare(self, Z: F64, kernel: Kernel, dtype: np.dtype[Any]) -> Callable[[Array], Array] | None:
        """A faster way from rows (b, d) to the block (b, m) of landmarks Z (m, d), where there is one as exact."""
        return None


class CalledKernel(KernelFamily):
    """A user's own function."""

    name = "callable"
    geometry = None

    def block(self, X: Array, Z: Array, kernel: Kernel) -> Array:
        """On blocks, or on each pair of rows."""
        assert kernel.fn is not None
        return call_blockwise(kernel.fn, kernel.blockwise, X, Z, {}, "kernel")

    def diagonal(self, X: Array, kernel: Kernel) -> Array:
        """From small square blocks."""
        starts = range(0, len(X), PAIR_BATCH)
        batches = [X[at : at + PAIR_BATCH] for at in starts]
        return np.concatenate([np.diagonal(self.block(few, few, kernel)) for few in batches])


CALLED = CalledKernel()
KERNELS: Registry[KernelFamily] = Registry("kernel", "landmark_ops.numerics.kernels")


def resolve_kernel(kernel: str | Callback, Z: Array, **parameters: Any) -> Kernel:
    """The kernel with these of the parameters of `KernelChoice`, the others left out; see `KernelChoice.resolve`."""
    return KernelChoice(kernel, **parameters).resolve(Z)


def kernel_block(X: Array, Z: Array, kernel: Kernel) -> Array:
    """The kernel between rows X (b, d) and landmarks Z (m, d), (b, m), in the dtype of X where BLAS computes it."""
    return kernel.family.block(X, Z, kernel)


def kernel_diagonal(X: Array, kernel: Kernel) -> Array:
    """k(x, x) for each row, (b,)."""
    return kernel.family.diagonal(X, kernel)
