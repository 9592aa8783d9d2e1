"""From a config's `method` to the Method that solves it."""

from __future__ import annotations

from landmark_ops.config import LandmarkMDSConfig, MethodConfig, NystroemConfig
from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
from landmark_ops.methods.method import Method
from landmark_ops.methods.nystroem import NystroemMethod
from landmark_ops.methods.nystroem_kernel_pca import NystroemKernelPCAMethod
from landmark_ops.numerics.distances import canonical
from landmark_ops.numerics.kernels import canonical_kernel


def make_method(config: MethodConfig) -> Method:
    """The method a config names; InputError for unknown metrics and kernels, before anything is read."""
    if isinstance(config, LandmarkMDSConfig):
        canonical(config.metric)
        return LandmarkMDSMethod(config.n_components, config.metric, config.metric_params, config.align)
    canonical_kernel(config.kernel)
    parameters = (config.kernel, config.gamma, config.degree, config.coef0, config.nu)
    if isinstance(config, NystroemConfig):
        return NystroemMethod(config.n_components, *parameters)
    return NystroemKernelPCAMethod(config.n_components, NystroemMethod(None, *parameters))
