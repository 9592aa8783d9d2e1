"""The variational bound on the log evidence of a sparse Gaussian process, and the parameters that maximise it.

Titsias, "Variational learning of inducing variables in sparse Gaussian processes", AISTATS 2009, eq. 9: with
Q = K_fu K_uu^-1 K_uf, log N(y | 0, Q + noise I) - tr(K - Q) / (2 noise). Exact where every row is a landmark.

The bound at one bandwidth depends on signal and noise through r + 3 numbers alone (`Bound`), so these two are found
in microseconds, and the search over the bandwidth is one-dimensional. All in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy  # subpackages are imported when asked for: optimize takes 70 ms, and reading a config imports this file
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.eigen import symmetric_eigen
from landmark_ops.numerics.kernel import Kernel, kernel_block, kernel_diagonal

F64 = NDArray[np.float64]

# Searched: signal and noise in units of the target's variance, gamma in units of the median rule's.
SIGNAL_RANGE = (1e-4, 1e4)
NOISE_RANGE = (1e-6, 10.0)
GAMMA_RANGE = (1e-3, 1e4)
GAMMA_GRID = 11  # a factor of 5 apart; the best one is then refined between its neighbours
GAMMA_TOLERANCE = 0.02  # of log gamma: the bound is flat to far below one nat there
STARTS = ((1.0, 0.01), (1.0, 0.1), (0.5, 0.5))  # signal and noise, in units of the target's variance


@dataclass(frozen=True)
class Bound:
    """The bound at one bandwidth, for s rows and whitened features F (s, r), F F^T = Q for a signal variance of 1.

    gains (r,): eigenvalues g of F^T F. loads (r,): F^T y in their eigenvectors. square: y.y.
    unexplained: sum of k(x, x) - |f(x)|^2.
    """

    rows: int
    gains: F64
    loads: F64
    square: float
    unexplained: float

    def __call__(self, logs: F64) -> tuple[float, F64]:
        """The bound in nats and its gradient (2,) at logs = (log signal variance, log noise variance).

        With a = signal / noise: -2 bound = s log 2 pi noise + sum log(1 + a g) + (y.y - sum a c^2 / (1 + a g)) / noise
        + a unexplained.
        """
        noise = np.exp(logs[1])
        a = float(np.exp(logs[0] - logs[1]))
        shrunk = 1 / (1 + a * self.gains)
        misfit = (self.square - a * float(self.loads @ (self.loads * shrunk))) / noise
        value = self.rows * (np.log(2 * np.pi) + logs[1]) - np.log(shrunk).sum() + misfit + a * self.unexplained
        by_a = a * (self.gains @ shrunk - ((self.loads * shrunk) ** 2).sum() / noise + self.unexplained)
        return -value / 2, -np.array([by_a, self.rows - by_a - misfit]) / 2


class Parameters(NamedTuple):
    """A bandwidth and two variances, in units of the target squared; `limits` names those found where search ends."""

    gamma: float
    signal: float
    noise: float
    bound: float
    limits: tuple[str, ...] = ()


def bound_of(kernel: Kernel, Z: F64, X: F64, y: F64) -> Bound | None:
    """The bound for rows X (s, d), targets y (s,) and landmarks Z (m, d); None where the kernel is undefined on them.

    Directions of K_uu below m eps of its largest eigenvalue are dropped, as Nystrom features do.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        W, C = kernel_block(Z, Z, kernel), kernel_block(X, Z, kernel)
    if not (np.isfinite(W).all() and np.isfinite(C).all() and W.any()):
        return None
    spectrum = symmetric_eigen(np.asarray(W, np.float64))
    rank = spectrum.rank(len(Z) * float(np.finfo(np.float64).eps))
    F = C @ (spectrum.vectors[:, :rank] / np.sqrt(spectrum.values[:rank]))
    inner = symmetric_eigen(F.T @ F)
    unexplained = float(kernel_diagonal(X, kernel).sum() - np.vdot(F, F))
    return Bound(  # both differences may be -1e-12 by rounding
        len(X), np.maximum(inner.values, 0), inner.vectors.T @ (F.T @ y), float(y @ y), max(unexplained, 0.0)
    )


def fit_variances(
    bound: Bound, signal: float | None, noise: float | None, more: Sequence[F64] = ()
) -> tuple[float, F64]:
    """The largest bound over signal and noise, those given held fixed, and log (signal, noise) there.

    `bound` is of a target of variance 1. L-BFGS-B on the logarithms from `STARTS` and `more` (2,) each, with the
    analytic gradient.
    """

    def loss(logs: F64) -> tuple[float, F64]:
        value, gradient = bound(logs)
        return -value, -gradient

    limits = [
        np.log(where if given is None else (given, given))
        for given, where in ((signal, SIGNAL_RANGE), (noise, NOISE_RANGE))
    ]
    best, at = -np.inf, np.zeros(2)
    for start in (*np.log(STARTS), *more):
        first = np.clip(start, *np.transpose(limits))
        if signal is not None and noise is not None:
            return bound(first)[0], first
        found = scipy.optimize.minimize(loss, first, jac=True, method="L-BFGS-B", bounds=limits)
        if -found.fun > best:
            best, at = -float(found.fun), np.asarray(found.x)
    return best, at


def maximise(
    kernel: Kernel, Z: Array, X: Array, y: F64, *, gamma: float | None, signal: float | None, noise: float | None
) -> Parameters:
    """The parameters left out (None) that maximise the bound for rows X (s, d) and targets y (s,), of mean 0.

    `kernel` carries the bandwidth that the search is centred on. y must vary.
    """
    Z, X = np.asarray(Z, np.float64), np.asarray(X, np.float64)
    variance = float(y @ y) / len(y)
    y = y / np.sqrt(variance)
    own_signal, own_noise = (None if value is None else value / variance for value in (signal, noise))
    seen: dict[float, tuple[float, F64]] = {}

    def loss(log_gamma: float) -> float:
        bound = bound_of(replace(kernel, gamma=float(np.exp(log_gamma))), Z, X, y)
        if bound is None:
            return np.inf
        more: list[F64] = [max(seen.values(), key=lambda one: one[0])[1]] if seen else []
        seen[log_gamma] = fit_variances(bound, own_signal, own_noise, more)
        return -seen[log_gamma][0]

    limits: list[str] = []
    fixed = gamma is not None or "gamma" not in kernel.family.parameters
    grid = np.log(kernel.gamma) + np.linspace(np.log(GAMMA_RANGE[0]), np.log(GAMMA_RANGE[1]), GAMMA_GRID)
    with threadpool_limits(1, user_api="blas"):  # matrices this small: threads that wait for each other cost 20 x
        if fixed:
            loss(float(np.log(kernel.gamma)))
        else:
            losses = [loss(float(one)) for one in grid]
            best = int(np.argmin(losses))
            between = grid[max(best - 1, 0)], grid[min(best + 1, GAMMA_GRID - 1)]
            scipy.optimize.minimize_scalar(loss, bounds=between, method="bounded", options={"xatol": GAMMA_TOLERANCE})
    if not seen:
        return Parameters(np.nan, np.nan, np.nan, -np.inf)
    log_gamma = max(seen, key=lambda one: seen[one][0])
    value, (log_signal, log_noise) = seen[log_gamma]
    if not fixed and not grid[0] + 0.1 < log_gamma < grid[-1] - 0.1:
        limits.append("gamma")
    for name, left_out, log, where in (
        ("signal variance", signal is None, log_signal, SIGNAL_RANGE),
        ("noise variance", noise is None, log_noise, NOISE_RANGE),
    ):
        if left_out and not np.log(where[0]) + 1e-3 < log < np.log(where[1]) - 1e-3:
            limits.append(name)
    return Parameters(
        kernel.gamma if fixed else float(np.exp(log_gamma)),
        variance * float(np.exp(log_signal)) if signal is None else signal,
        variance * float(np.exp(log_noise)) if noise is None else noise,
        value - len(y) * float(np.log(variance)) / 2,  # the density of y, not of y in units of its deviation
        tuple(limits),
    )
