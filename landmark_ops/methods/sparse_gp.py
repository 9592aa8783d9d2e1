"""Sparse Gaussian process regression: m landmarks stand for n rows, in one pass over them.

Quinonero-Candela & Rasmussen, "A unifying view of sparse approximate Gaussian process regression", JMLR 2005; Titsias
2009 for VFE. With Q = K_fu K_uu^-1 K_uf and one Gaussian noise, they differ as follows:

         prior over rows               variance of a prediction                   evidence
    sor  Q                             Q** - ..., falls to 0 far from landmarks   N(y | 0, Q + noise)
    dtc  Q                             K** - Q** + ...                            N(y | 0, Q + noise)
    fitc Q + diag(K - Q)               K** - Q** + ...                            N(y | 0, Q + diag(K - Q) + noise)
    vfe  Q                             K** - Q** + ...                            that of dtc - tr(K - Q) / (2 noise)

The mean of sor, dtc and vfe is the same for the same parameters. The mean of the target is the prior mean.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from pydantic import PositiveFloat

from landmark_ops.errors import InputError, Word
from landmark_ops.maps.heads import Regression
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import Sum
from landmark_ops.maps.parts import Spread
from landmark_ops.maps.target_numbers import check_numbers, needs_double
from landmark_ops.maps.target_sums import TargetSums, add_target_sums, mean, target_sums
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.eigen import symmetric_eigen
from landmark_ops.numerics.kernel import KernelChoice, kernel_block
from landmark_ops.numerics.metric import Metric
from landmark_ops.numerics.random_streams import Stream
from landmark_ops.numerics.vfe_bound import Parameters, maximise
from landmark_ops.solver.asks import Draw, Drawn
from landmark_ops.solver.features import nystrom_features
from landmark_ops.solver.kernel_section import KernelSection
from landmark_ops.solver.method import NEGATIVE_MASS, Probe, Solution
from landmark_ops.solver.section import METHODS, Cost, Sizes

Approximation = Literal["vfe", "fitc", "dtc", "sor"]
APPROXIMATIONS: tuple[str, ...] = get_args(Approximation)
SAMPLE_ROWS = 2000  # rows that parameters left out are found on: seconds, whatever n
SAMPLE_LANDMARKS = 500  # and landmarks, evenly spaced among all
RATIOS = (1e-100, 1e100)  # of noise to signal variance: their quotients, times sums of squares, stay in float64


@dataclass(frozen=True)
class SparseGPMethod:
    """Sparse Gaussian process regression as a `Method`.

    `noise` and `signal` are variances in units of the target squared: of an observation about the function, and of
    the function about the target's mean, k(x, x) = signal for stationary kernels. What is None, gamma too, maximises
    the VFE bound on a sample of the training rows.
    """

    kernel: KernelChoice
    approximation: Approximation = "vfe"
    noise: float | None = None
    signal: float | None = None

    passes = 1

    @property
    def choice(self) -> KernelChoice:
        """The kernel's part of the parameters."""
        return self.kernel

    def with_gamma(self, gamma: float) -> SparseGPMethod:
        """Itself: the bandwidth landmarks were chosen by ignores the target, so another one is learned here."""
        return self

    def selection_metric(self, probe: Probe) -> Metric:
        """That of the kernel."""
        return self.kernel.selection_metric()

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """A sample for parameters left out, one pass for the sums, and an r x r eigenproblem; float64 throughout."""
        self.check()
        parameters, note = self.given()
        if parameters is None:
            drawn: Drawn = yield Draw(SAMPLE_ROWS, Stream.GP_SAMPLE, targets=True)
            parameters, note = self.learn(Z, drawn)
        self.check_ratio(parameters, len(Z))
        features = self.features(Z, parameters.gamma)
        noise = parameters.noise / parameters.signal if self.approximation == "fitc" else None
        summed: TargetSums = yield Sum(
            (features.map,), partial(target_sums, noise=noise), add_target_sums, targets=True, name="sums with target"
        )
        return self.finish(features, summed, parameters, note)

    def check(self) -> None:
        """InputError for parameters that make no Gaussian process."""
        if self.approximation not in APPROXIMATIONS:
            raise InputError(f"approximation={self.approximation!r} is unknown: choose {', '.join(APPROXIMATIONS)}")
        for name in ("noise", "signal"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(
                    f"{name}={value}: is a variance in units of the target squared, positive and finite; leave it out "
                    "to have it found"
                )
        family = self.kernel.family
        if family.precomputed:
            raise InputError(
                f"kernel {family.name}: the variance of a Gaussian process needs k(x, x) of each row, which is not "
                "among its values with the landmarks: name a kernel, or use nystroem_ridge"
            )
        if not family.covariance:
            raise InputError(
                f"kernel {family.name}: is not positive semidefinite, so no covariance: choose e.g. rbf or matern"
            )

    def check_ratio(self, parameters: Parameters, m: int) -> None:
        """InputError where float64 does not hold noise and signal variance side by side, for m landmarks."""
        low, high = RATIOS
        why = "float64 holds"
        if self.approximation == "fitc":  # beside the noise of each row stands k(x, x) - |f|^2, known to rounding
            low, why = 10 * m * float(np.finfo(np.float64).eps), "approximation fitc can tell from rounding"
        if not low * parameters.signal < parameters.noise < high * parameters.signal:
            raise InputError(
                f"noise={parameters.noise:g} beside signal={parameters.signal:g} is outside {low:.2g} to {high:g} "
                f"times it, what {why}: choose other variances, or leave them out to have them found"
            )

    @property
    def has_gamma(self) -> bool:
        """Whether the kernel has a bandwidth."""
        return "gamma" in self.kernel.family.parameters

    def given(self) -> tuple[Parameters | None, str]:
        """The parameters, where the user gave all that the kernel has."""
        gamma = self.kernel.gamma if self.has_gamma else 1.0
        if gamma is None or self.signal is None or self.noise is None:
            return None, ""
        return Parameters(gamma, self.signal, self.noise, np.nan), "as given"

    def learn(self, Z: Array, drawn: Drawn) -> tuple[Parameters, str]:
        """Maximise the VFE bound on the rows drawn. InputError where there is nothing to learn from."""
        assert drawn.y is not None
        few = Z[np.linspace(0, len(Z) - 1, min(len(Z), SAMPLE_LANDMARKS)).round().astype(int)]
        kernel = self.kernel.resolve(np.asarray(Z, np.float64))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # zero rows have no direction under cosine
            defined = np.isfinite(kernel_block(np.asarray(drawn.X, np.float64), few, kernel)).all(axis=1)
        X, y = drawn.X[defined], np.asarray(drawn.y[defined, 0], np.float64)
        if len(y) < 2:
            raise InputError(
                f"{Word.TARGET}: {len(y)} of {SAMPLE_ROWS:,} rows drawn have a target and coordinates, at least 2 are "
                "needed to find noise, signal and gamma: give these, or clean the target"
            )
        with np.errstate(over="ignore"):  # refused below
            centred = y - mean(y)
            variance = float(np.mean(np.square(centred)))
        low, high, integer = float(y.min()), float(y.max()), drawn.y.dtype.kind in "iu"
        check_numbers(low, high, integer, variance)
        for name in ("noise", "signal"):
            value = getattr(self, name)
            if value is not None and low < high and not RATIOS[0] * variance < value < RATIOS[1] * variance:
                raise InputError(
                    f"{name}={value:g} beside a variance of the target of {variance:.3g} is outside {RATIOS[0]:g} to "
                    f"{RATIOS[1]:g} times it, what float64 holds: give it in units of the target squared"
                )
        if low == high:
            raise InputError(
                f"{Word.TARGET}: all {len(y):,} values drawn are {y[0]:g}, so no noise, signal and gamma can be found: "
                "check the target, or give them"
            )
        found = maximise(kernel, few, X, centred, gamma=self.kernel.gamma, signal=self.signal, noise=self.noise)
        if not np.isfinite(found.bound):
            raise InputError(f"kernel {kernel.name}: undefined on the rows drawn for every gamma tried: scale the rows")
        landmarks = "" if len(few) == len(Z) else f" and {len(few):,} of {len(Z):,} landmarks"
        return found, f"maximise the VFE bound on {len(y):,} rows drawn{landmarks}"

    def features(self, Z: Array, gamma: float) -> Solution:
        """Nystrom features: f(x).f(z) = Q for a signal variance of 1, residual k(x, x) - |f(x)|^2.

        Whitened by eigenvectors above the relative cutoff m eps instead of a Cholesky factor with jitter: the same Q,
        and with every row a landmark the exact process to rounding.

        Raises InputError for a kernel whose spectrum on the landmarks is negative in part: it is no covariance.
        """
        features = nystrom_features(replace(self.kernel, gamma=gamma), Z, np.dtype(np.float64))
        if features.negative_mass > NEGATIVE_MASS:
            raise InputError(
                f"kernel {features.map.block.name}: {features.negative_mass:.1%} of its spectrum on the landmarks is "
                "negative, so it is no covariance: choose a positive semidefinite one"
            )
        return features._replace(map=replace(features.map, double=True))

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def finish(self, features: Solution, summed: TargetSums, parameters: Parameters, note: str) -> Solution:
        """Mean and variance as functions of the kernel block.

        In units of the signal variance, with whitened features F of the rows and variances L of the noise:
        B = I + F^T L^-1 F = U (1 + g) U^T, mean = f B^-1 F^T L^-1 y, variance = k** - |f|^2 + f B^-1 f^T, of which the
        last two are one spread -|f U sqrt(g / (1 + g))|^2, without cancellation; for SoR +|f U / sqrt(1 + g)|^2.

        Raises InputError where no row has coordinates and a target, and for variances beyond what float64 divides.
        """
        n, signal = summed.rows, parameters.signal
        if n == 0:
            raise InputError(
                f"{Word.TARGET}: no row has both coordinates and a finite target: check it{Word.OR_HOLD_LESS}"
            )
        mean_square = summed.yy / summed.weight
        check_numbers(summed.low, summed.high, summed.integer, mean_square)
        noise, scale = parameters.noise / signal, float(np.sqrt(signal))
        fitc = self.approximation == "fitc"
        variance = 1.0 if fitc else noise  # the sums are yet to be divided by it
        spectrum = symmetric_eigen(summed.gram / variance)
        gains, U = np.maximum(spectrum.values, 0), spectrum.vectors
        loads = U.T @ summed.fy / (variance * scale)
        weights = U @ (loads / (1 + gains))
        misfit = summed.yy / (variance * signal) - float(loads @ (loads / (1 + gains)))
        log_variance = summed.log_variance if fitc else n * float(np.log(noise))
        evidence = -(n * np.log(2 * np.pi * signal) + log_variance + np.log1p(gains).sum() + misfit) / 2
        if self.approximation == "vfe":
            evidence -= summed.unexplained / (2 * noise)
        if not (np.isfinite(evidence) and np.isfinite(weights).all()):
            raise InputError(
                f"noise={parameters.noise:g} and signal={signal:g} are too far apart, or from the target's variance of "
                f"{mean_square:.3g}, for float64: give others, or leave them out to have them found"
            )
        sor = self.approximation == "sor"
        shares = 1 / (1 + gains) if sor else gains / (1 + gains)
        readout = features.map.readout
        fitted = LandmarkMap(
            features.map.landmarks,
            features.map.block,
            (readout @ weights)[:, None],
            np.zeros(1),
            None,
            self_term=not sor,
            spread=Spread(readout @ (U * np.sqrt(shares)), 1.0 if sor else -1.0),
            head=Regression(summed.center, scale, noise, needs_double(summed, scale * float(np.sqrt(noise)))),
            double=True,
        )
        facts: dict[str, float | str] = {
            "VFE bound" if self.approximation == "vfe" else "log evidence": float(evidence),
            "noise variance": parameters.noise,
            "signal variance": signal,
            **({"gamma": parameters.gamma} if self.has_gamma else {}),
            "parameters": note,
            "training rows": float(n),
        }
        average = float(summed.ones @ weights) / summed.weight
        spread = float(weights @ summed.gram @ weights) / summed.weight - average**2
        return features._replace(
            map=fitted,
            embedding=features.embedding @ weights[:, None],
            eigenvalues=np.array([max(spread, 0.0)]),  # variance of the mean over the rows
            warnings=(*features.warnings, *limit_warnings(parameters)),
            facts=facts,
        )


@METHODS.register
class SparseGPConfig(KernelSection):
    """Sparse Gaussian process regression; gamma, signal and noise left out are found by the VFE bound on a sample."""

    title = "Sparse Gaussian process"
    residuals_are = "variance of the latent function"
    supervised = True
    grows = False
    solver = SparseGPMethod

    name: Literal["sparse_gp"]
    approximation: Approximation = "vfe"
    noise: PositiveFloat | None = None
    signal: PositiveFloat | None = None

    def width(self, m: int) -> int:
        """The mean."""
        return 1

    def cost(self, sizes: Sizes) -> Cost:
        """As of all kernel methods, with sums in float64."""
        return super().cost(sizes._replace(itemsize=8))


def limit_warnings(parameters: Parameters) -> tuple[str, ...]:
    """A warning per parameter found at a limit of the search: the data does not determine it."""
    return tuple(
        f"{name} {value:.3g} is at the end of the range searched, the data does not determine it: give it, or check "
        "scale and noise of the target"
        for name in parameters.limits
        for value in [getattr(parameters, name.split()[0])]
    )
