"""From a config's `method` to the Method that solves it, imported when asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from landmark_ops.configs.method import (
    AnyMethodConfig,
    KernelConfig,
    LandmarkDiffusionMapConfig,
    LandmarkIsomapConfig,
    LandmarkMDSConfig,
    LocallyLinearLandmarksConfig,
    NystroemConfig,
    NystroemKernelPCAConfig,
    NystroemRidgeConfig,
    SparseGPConfig,
    SpectralClusteringConfig,
    SpectralEmbeddingConfig,
)
from landmark_ops.numerics.distances import canonical
from landmark_ops.numerics.kernel import canonical_kernel
from landmark_ops.solver.method import KernelChoice, Method


def make_method(config: AnyMethodConfig, seed: int = 0) -> Method:
    """The method a config names; InputError for unknown metrics and kernels, before anything is read.

    `seed` decides what a method draws: the rows it clusters or learns its parameters on.
    """
    if isinstance(config, KernelConfig):
        canonical_kernel(config.kernel)
    elif not isinstance(config, LocallyLinearLandmarksConfig):
        canonical(config.metric)
    return MAKERS[type(config)](config, seed)


def kernel_of(config: KernelConfig) -> KernelChoice:
    """The kernel's part of a section."""
    return KernelChoice(config.kernel, config.gamma, config.degree, config.coef0, config.nu)


def _landmark_mds(config: LandmarkMDSConfig, seed: int) -> Method:
    from landmark_ops.methods.landmark_mds import LandmarkMDSMethod

    return LandmarkMDSMethod(config.n_components, config.metric, config.metric_params, config.align)


def _landmark_isomap(config: LandmarkIsomapConfig, seed: int) -> Method:
    from landmark_ops.methods.landmark_isomap import LandmarkIsomapMethod

    return LandmarkIsomapMethod(
        config.n_components, config.n_neighbors, config.metric, config.components, config.max_support
    )


def _locally_linear(config: LocallyLinearLandmarksConfig, seed: int) -> Method:
    from landmark_ops.methods.locally_linear_landmarks import LocallyLinearLandmarksMethod

    return LocallyLinearLandmarksMethod(
        config.n_components,
        config.n_neighbors,
        config.n_weights,
        config.regularization,
        config.max_support,
        config.objective,
    )


def _nystroem(config: NystroemConfig, seed: int) -> Method:
    from landmark_ops.methods.nystroem import NystroemMethod

    return NystroemMethod(config.n_components, kernel_of(config))


def _kernel_pca(config: NystroemKernelPCAConfig, seed: int) -> Method:
    from landmark_ops.methods.nystroem_kernel_pca import NystroemKernelPCAMethod

    return NystroemKernelPCAMethod(config.n_components, kernel_of(config))


def _spectral_embedding(config: SpectralEmbeddingConfig, seed: int) -> Method:
    from landmark_ops.methods.spectral_embedding import SpectralEmbeddingMethod

    return SpectralEmbeddingMethod(config.n_components, kernel_of(config))


def _spectral_clustering(config: SpectralClusteringConfig, seed: int) -> Method:
    from landmark_ops.methods.spectral_clustering import SpectralClusteringMethod

    return SpectralClusteringMethod(config.n_clusters, config.n_components, kernel_of(config), seed)


def _diffusion_map(config: LandmarkDiffusionMapConfig, seed: int) -> Method:
    from landmark_ops.methods.landmark_diffusion_map import LandmarkDiffusionMapMethod

    return LandmarkDiffusionMapMethod(config.n_components, kernel_of(config), config.t, config.alpha)


def _sparse_gp(config: SparseGPConfig, seed: int) -> Method:
    from landmark_ops.methods.sparse_gp import SparseGPMethod

    return SparseGPMethod(kernel_of(config), config.approximation, config.noise, config.signal)


def _nystroem_ridge(config: NystroemRidgeConfig, seed: int) -> Method:
    from landmark_ops.methods.nystroem_ridge import NystroemRidgeMethod

    return NystroemRidgeMethod(kernel_of(config), config.alpha, config.task)


MAKERS: dict[type[AnyMethodConfig], Callable[[Any, int], Method]] = {
    LandmarkMDSConfig: _landmark_mds,
    LandmarkIsomapConfig: _landmark_isomap,
    LocallyLinearLandmarksConfig: _locally_linear,
    NystroemConfig: _nystroem,
    NystroemKernelPCAConfig: _kernel_pca,
    SpectralEmbeddingConfig: _spectral_embedding,
    SpectralClusteringConfig: _spectral_clustering,
    LandmarkDiffusionMapConfig: _diffusion_map,
    SparseGPConfig: _sparse_gp,
    NystroemRidgeConfig: _nystroem_ridge,
}
