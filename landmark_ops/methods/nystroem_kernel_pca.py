"""Nystrom kernel PCA: principal components of the Nystrom features over all rows.

With every row a landmark it is kernel PCA (Schoelkopf, Smola & Mueller 1998). The mean is that of all n rows, fixed
at fit: recentring on whatever batch is transformed, as some implementations do, makes results depend on the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.methods.estimator import LandmarkEstimator
from landmark_ops.methods.method import Method, Solution, check_n_components
from landmark_ops.methods.nystroem import NystroemMethod
from landmark_ops.numerics.distances import Array, Callback, Metric
from landmark_ops.numerics.eigen import symmetric_eigen
from landmark_ops.numerics.landmark_map import LandmarkMap
from landmark_ops.numerics.moments import Moments


@dataclass(frozen=True)
class NystroemKernelPCAMethod:
    """Nystrom kernel PCA as a `Method`: full Nystrom features, their moments, an r x r eigenproblem."""

    n_components: int
    features: NystroemMethod

    needs_moments = True

    def selection_metric(self) -> Metric:
        """As for the Nystrom features."""
        return self.features.selection_metric()

    def start(self, Z: Array, dtype: np.dtype[Any]) -> Solution:
        """The Nystrom features at full rank."""
        return self.features.start(Z, dtype)

    def finish(self, solution: Solution, moments: Moments) -> Solution:
        """Scores (f(x) - mean f)^T v for the top eigenvectors v of the features' covariance over all rows.

        Eigenvalues are variances, those of scikit-learn's KernelPCA divided by n. The residual becomes the squared
        feature-space distance from the mean that k components leave: k(x,x) - 2 f.mean + |mean|^2 - |score|^2.
        """
        features = solution.map
        spectrum = symmetric_eigen(moments.covariance)
        cutoff = solution.cutoff
        shape = (features.n_landmarks, features.n_features)
        if not spectrum.values[0] > cutoff * float(np.trace(moments.second)) / moments.rows:
            raise InputError(
                f"all {moments.rows} rows coincide under this kernel: the data is constant, there is nothing to "
                "embed; check the source and its array or columns"
            )
        rank = spectrum.rank(cutoff)
        k = check_n_components(self.n_components, rank, cutoff, shape, "the centred kernel")
        vectors = spectrum.vectors[:, :k]
        mean = moments.mean
        fitted = LandmarkMap(
            features.landmarks,
            features.block,
            features.readout @ vectors,
            -mean @ vectors,
            residual_weights=-2 * features.readout @ mean,
            residual_offset=float(mean @ mean),
            self_term=True,
        )
        return solution._replace(
            map=fitted,
            embedding=(solution.embedding - mean) @ vectors,
            eigenvalues=spectrum.values[:k],
            spectrum=spectrum.values,
            rank=rank,
        )


class NystroemKernelPCA(LandmarkEstimator):
    """Kernel PCA from a few landmarks, for any number of rows.

    Parameters
    ----------
    n_components
        Dimensions of the embedding, k.
    n_landmarks, selection, random_state
        As in `LandmarkMDS`.
    kernel, gamma, degree, coef0, nu
        As in `Nystroem`.

    Attributes
    ----------
    map_, landmarks_, landmark_indices_, landmark_embedding_, eigenvalues_, spectrum_, rank_, negative_mass_
        As in `LandmarkMDS`; eigenvalues are variances of all rows along the components.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> NystroemKernelPCA(2, n_landmarks=100, random_state=0).fit_transform(X).shape
    (300, 2)

    See Also
    --------
    sklearn.decomposition.KernelPCA : the exact method, n x n
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_landmarks: int = 500,
        selection: str = "uniform",
        kernel: str | Callback = "rbf",
        gamma: float | None = None,
        degree: float = 3.0,
        coef0: float = 1.0,
        nu: float = 1.5,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_landmarks = n_landmarks
        self.selection = selection
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.nu = nu
        self.random_state = random_state

    def method(self) -> Method:
        """The method these parameters describe."""
        features = NystroemMethod(None, self.kernel, self.gamma, self.degree, self.coef0, self.nu)
        return NystroemKernelPCAMethod(self.n_components, features)
