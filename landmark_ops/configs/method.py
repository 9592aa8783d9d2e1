"""The `method:` section of a config, one class per method; unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, PositiveFloat, PositiveInt

from landmark_ops.configs.section import AnyOf, Section


class LandmarkMDSConfig(Section):
    """Landmark MDS."""

    name: Literal["landmark_mds"] = "landmark_mds"
    n_components: PositiveInt = 10
    metric: str = "euclidean"
    metric_params: dict[str, JsonValue] | None = None
    align: bool = False


class LandmarkIsomapConfig(Section):
    """Landmark Isomap: Landmark MDS of distances along a graph of nearest neighbours."""

    name: Literal["landmark_isomap"]
    n_components: PositiveInt = 10
    n_neighbors: PositiveInt = 10
    metric: str = "euclidean"
    components: Literal["error", "join", "largest"] = "error"
    max_support: Annotated[int, Field(ge=100)] = 1_000_000


class LocallyLinearLandmarksConfig(Section):
    """Laplacian eigenmaps or locally linear embedding, each row an affine combination of near landmarks."""

    name: Literal["locally_linear_landmarks"]
    n_components: PositiveInt = 10
    n_neighbors: PositiveInt = 10
    objective: Literal["laplacian", "lle"] = "laplacian"
    n_weights: PositiveInt | None = None
    regularization: PositiveFloat = 1e-3
    max_support: Annotated[int, Field(ge=100)] = 1_000_000


class KernelConfig(Section):
    """Kernel parameters, shared by all kernel methods."""

    kernel: str = "rbf"
    gamma: float | None = None
    degree: float = 3.0
    coef0: float = 1.0
    nu: float = 1.5


class NystroemConfig(KernelConfig):
    """Nystrom features."""

    name: Literal["nystroem"]
    n_components: PositiveInt | None = None


class NystroemKernelPCAConfig(KernelConfig):
    """Nystrom kernel PCA."""

    name: Literal["nystroem_kernel_pca"]
    n_components: PositiveInt = 10


class SpectralEmbeddingConfig(KernelConfig):
    """One-shot Nystrom spectral embedding."""

    name: Literal["spectral_embedding"]
    n_components: PositiveInt = 10


class SpectralClusteringConfig(KernelConfig):
    """Spectral clustering: the spectral embedding, rows at unit length, and k-means."""

    name: Literal["spectral_clustering"]
    n_clusters: Annotated[int, Field(ge=2)] = 8
    n_components: PositiveInt | None = None


class LandmarkDiffusionMapConfig(KernelConfig):
    """Landmark diffusion maps (Roseland)."""

    name: Literal["landmark_diffusion_map"]
    n_components: PositiveInt = 10
    t: PositiveFloat = 1.0
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.0


class SparseGPConfig(KernelConfig):
    """Sparse Gaussian process regression; gamma, signal and noise left out are found by the VFE bound on a sample."""

    name: Literal["sparse_gp"]
    approximation: Literal["vfe", "fitc", "dtc", "sor"] = "vfe"
    noise: PositiveFloat | None = None
    signal: PositiveFloat | None = None


class NystroemRidgeConfig(KernelConfig):
    """Kernel ridge regression, or classification by one ridge per class, on Nystrom features."""

    name: Literal["nystroem_ridge"]
    task: Literal["regression", "classification"] = "regression"
    alpha: PositiveFloat = 1.0


AnyMethodConfig = (
    LandmarkMDSConfig
    | LandmarkIsomapConfig
    | LocallyLinearLandmarksConfig
    | NystroemConfig
    | NystroemKernelPCAConfig
    | SpectralEmbeddingConfig
    | SpectralClusteringConfig
    | LandmarkDiffusionMapConfig
    | SparseGPConfig
    | NystroemRidgeConfig
)
MethodConfig = Annotated[AnyMethodConfig, Field(discriminator="name"), AnyOf()]
METHODS: dict[str, type[AnyMethodConfig]] = {
    "landmark_mds": LandmarkMDSConfig,
    "landmark_isomap": LandmarkIsomapConfig,
    "locally_linear_landmarks": LocallyLinearLandmarksConfig,
    "nystroem": NystroemConfig,
    "nystroem_kernel_pca": NystroemKernelPCAConfig,
    "spectral_embedding": SpectralEmbeddingConfig,
    "spectral_clustering": SpectralClusteringConfig,
    "landmark_diffusion_map": LandmarkDiffusionMapConfig,
    "sparse_gp": SparseGPConfig,
    "nystroem_ridge": NystroemRidgeConfig,
}
SUPERVISED = ("sparse_gp", "nystroem_ridge")


def width(config: AnyMethodConfig, m: int) -> int:
    """Columns of the embedding a method writes from m landmarks, as far as the config tells; classes count as 10."""
    if isinstance(config, SparseGPConfig):
        return 1
    if isinstance(config, NystroemRidgeConfig):
        return 1 if config.task == "regression" else 10
    if isinstance(config, SpectralClusteringConfig):
        return config.n_components or config.n_clusters
    return config.n_components or m
