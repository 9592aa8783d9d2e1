"""Diagnostics of a fitted map over a whole source: one pass, one sample, one answer for the report."""

from __future__ import annotations

from typing import Any, NamedTuple

from landmark_ops.errors import InputError
from landmark_ops.maps.evaluation import compute_dtype
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.pair_errors import FrobeniusError, check_features, frobenius_error, pair_rows
from landmark_ops.maps.trace_error import TraceError, explained, sampled_trace_error, trace_error
from landmark_ops.numerics.blocks import block_key
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.random_streams import Stream
from landmark_ops.solver.asks import Draw, Source
from landmark_ops.solver.features import nystrom_features


class NystromErrors(NamedTuple):
    """Errors of the approximation of a kernel matrix, in the trace and in the Frobenius norm."""

    trace: TraceError
    frobenius: FrobeniusError


def error_key(fitted: LandmarkMap) -> tuple[Any, int | None]:
    """A key that is equal for maps, of the same landmarks, that have the same error."""
    return block_key(fitted.block), fitted.n_components if gives_features(fitted) else None


def gives_features(fitted: LandmarkMap) -> bool:
    """Whether the coordinates are Nystrom features themselves."""
    try:
        check_features(fitted)
    except InputError:
        return False
    return True


def nystrom_error(fitted: LandmarkMap, source: Source, *, exact: bool = True) -> NystromErrors | None:
    """The errors of the Nystrom approximation that a kernel method rests on: one pass in float64, and one sample.

    Without `exact` the pass is left out, and the trace error too comes from a sample.

    Of features as they are, so with n_components of them; of any other map over a kernel (kernel PCA, spectral
    methods, ridge ...) of all features its landmarks have. None for maps of distances and for precomputed kernels,
    of which k(x, x) is not known. Rows without features are counted by `source.missing` and left out.
    """
    kernel = fitted.block
    if not isinstance(kernel, Kernel) or kernel.family.precomputed:
        return None
    features = fitted
    if not gives_features(fitted):
        features = nystrom_features(kernel, fitted.landmarks, compute_dtype(source.rows.dtype)).map
    n = source.rows.n
    trace = trace_error(source.sum([explained(features)])[0]) if exact else None
    drawn = Draw(pair_rows(kernel), Stream.FROBENIUS_PAIRS).answer(source)
    trace = trace or sampled_trace_error(features, drawn.X, n)
    return NystromErrors(trace, frobenius_error(features, drawn.X, n))
