"""Landmark Ops: landmark methods at data-lake scale.

Names are imported when first used, so that `import landmark_ops` (and `landmarks --help`) costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from landmark_ops.detectors.api import detect as detect
    from landmark_ops.errors import InputError as InputError
    from landmark_ops.errors import RunError as RunError
    from landmark_ops.estimators.landmark_diffusion_map import LandmarkDiffusionMap as LandmarkDiffusionMap
    from landmark_ops.estimators.landmark_isomap import LandmarkIsomap as LandmarkIsomap
    from landmark_ops.estimators.landmark_mds import LandmarkMDS as LandmarkMDS
    from landmark_ops.estimators.locally_linear_landmarks import LocallyLinearLandmarks as LocallyLinearLandmarks
    from landmark_ops.estimators.nystroem import Nystroem as Nystroem
    from landmark_ops.estimators.nystroem_kernel_pca import NystroemKernelPCA as NystroemKernelPCA
    from landmark_ops.estimators.nystroem_ridge import NystroemRidge as NystroemRidge
    from landmark_ops.estimators.nystroem_ridge import NystroemRidgeClassifier as NystroemRidgeClassifier
    from landmark_ops.estimators.sparse_gp import SparseGPRegressor as SparseGPRegressor
    from landmark_ops.estimators.spectral_clustering import SpectralClustering as SpectralClustering
    from landmark_ops.estimators.spectral_embedding import SpectralEmbedding as SpectralEmbedding
    from landmark_ops.maps.landmark_map import LandmarkMap as LandmarkMap
    from landmark_ops.passes.stored_map import open_map as open_map
    from landmark_ops.selection.call import select_landmarks as select_landmarks
    from landmark_ops.selection.landmarks import Landmarks as Landmarks
    from landmark_ops.solver.alignment import align_map as align_map
    from landmark_ops.stores.embeddings.initial import layout_init as layout_init
    from landmark_ops.stores.sources.rows import Rows as Rows
    from landmark_ops.stores.sources.source import open_rows as open_rows

__version__ = "0.1.0"

_HOME = {
    "LandmarkMDS": "estimators.landmark_mds",
    "Nystroem": "estimators.nystroem",
    "NystroemKernelPCA": "estimators.nystroem_kernel_pca",
    "LandmarkDiffusionMap": "estimators.landmark_diffusion_map",
    "SpectralClustering": "estimators.spectral_clustering",
    "SpectralEmbedding": "estimators.spectral_embedding",
    "LandmarkIsomap": "estimators.landmark_isomap",
    "LocallyLinearLandmarks": "estimators.locally_linear_landmarks",
    "NystroemRidge": "estimators.nystroem_ridge",
    "NystroemRidgeClassifier": "estimators.nystroem_ridge",
    "SparseGPRegressor": "estimators.sparse_gp",
    "select_landmarks": "selection.call",
    "Landmarks": "selection.landmarks",
    "LandmarkMap": "maps.landmark_map",
    "align_map": "solver.alignment",
    "open_map": "passes.stored_map",
    "detect": "detectors.api",
    "layout_init": "stores.embeddings.initial",
    "open_rows": "stores.sources.source",
    "Rows": "stores.sources.rows",
    "InputError": "errors",
    "RunError": "errors",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'landmark_ops' has no attribute {name!r}")
    return getattr(import_module(f"landmark_ops.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
