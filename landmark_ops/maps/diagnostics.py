"""How much landmarks leave unexplained: of a kernel matrix, exactly or on sampled pairs, and of distances.

Nystrom features f of a kernel k leave K - F F^T, which is positive semidefinite. Its trace relative to that of K is a
sum over rows and exact; its Frobenius norm is a sum over pairs of rows and is estimated from a sample. A map of
distances leaves of each row the squared distance that its residual says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import SUM_ROWS, Sum, Tile
from landmark_ops.numerics.blocks import Block
from landmark_ops.numerics.distances import Array, Metric, sq_dists, sq_euclidean, transform_rows
from landmark_ops.numerics.kernel import Kernel, kernel_block
from landmark_ops.numerics.quality import Estimate, original_distances

F64 = NDArray[np.float64]
PAIR_ROWS = 2000  # sampled rows of which all pairs are looked at: 32 MB of float64, half a second
CALLED_ROWS = 200  # the same where each pair is one call of a user's function


class ExplainedSums(NamedTuple):
    """Sums over `rows` rows: what the map leaves of them, and |f|^2, what it explains."""

    rows: int
    residual: float
    explained: float


class TraceError(NamedTuple):
    """The relative trace error of Nystrom features over `rows` rows: all, where there is no standard error.

    value = unexplained / trace = sum(k(x, x) - |f(x)|^2) / sum k(x, x), NaN where the trace is not positive.
    """

    value: float
    unexplained: float
    trace: float
    rows: int
    standard_error: float | None = None


class FrobeniusError(NamedTuple):
    """||K - F F^T||_F / ||K||_F, estimated from all pairs among `sample` uniformly drawn rows, with its error."""

    value: float
    standard_error: float
    sample: int


def in_double(fitted: LandmarkMap) -> LandmarkMap:
    """The same map computed in float64: in float32 its residuals are rounded at 1e-7 of k(x, x), and worse near 0."""
    return replace(fitted, double=True)


def explained(fitted: LandmarkMap) -> Sum[ExplainedSums]:
    """Ask for what a map explains and leaves over all rows; computed in float64."""
    return Sum((in_double(fitted),), explained_tile, add_explained, name="error")


def explained_tile(tile: Tile) -> ExplainedSums:
    """The sums of one tile."""
    F, residual = tile.placed[0]
    return ExplainedSums(len(F), float(residual.sum(dtype=np.float64)), float(np.vecdot(F, F).sum(dtype=np.float64)))


def add_explained(parts: list[ExplainedSums]) -> ExplainedSums:
    """The sums of several blocks together."""
    return ExplainedSums(*(sum(column) for column in zip(*parts, strict=True)))


def explained_block(maps: list[LandmarkMap], X: Array) -> list[ExplainedSums]:
    """The sums of rows X (b, d) under each of several maps, one map after the other, tile by tile, in float64."""
    found = []
    for fitted in map(in_double, maps):
        parts = [ExplainedSums(0, 0.0, 0.0)]
        for at in range(0, len(X), SUM_ROWS):
            placed = fitted.place(X[at : at + SUM_ROWS])
            good = np.isfinite(placed.embedding).all(axis=1)
            parts.append(explained_tile(Tile([type(placed)(placed.embedding[good], placed.residual[good])], None)))
        found.append(add_explained(parts))
    return found


def trace_error(sums: ExplainedSums) -> TraceError:
    """The relative trace error of Nystrom features from their sums: their residual is k(x, x) - |f(x)|^2."""
    trace = sums.residual + sums.explained
    value = sums.residual / trace if trace > 0 else float("nan")
    return TraceError(value, sums.residual, trace, sums.rows)


def sampled_trace_error(features: LandmarkMap, X: Array, n: int) -> TraceError:
    """The relative trace error over n rows from S of them, X (S, d), drawn uniformly; error of a ratio to first order.

    Rows without features are left out.
    """
    placed = in_double(features).place(X)
    good = np.isfinite(placed.embedding).all(axis=1)
    residual = np.asarray(placed.residual[good], np.float64)
    own = residual + np.vecdot(placed.embedding[good], placed.embedding[good])
    error = trace_error(ExplainedSums(len(own), float(residual.sum()), float((own - residual).sum())))
    if len(own) < 2 or not error.trace > 0:
        return error._replace(standard_error=float("nan"))
    left = residual - error.value * own
    spread = float(left.std(ddof=1) / np.sqrt(len(own)) / own.mean())
    return error._replace(standard_error=spread * float(np.sqrt(max(1 - len(own) / n, 0.0))))


def check_features(features: LandmarkMap) -> Kernel:
    """The kernel of Nystrom features; InputError for any other map."""
    kernel = features.block
    plain = features.scale is None and features.spread is None and not features.unit_rows and not features.offset.any()
    weights = features.residual_weights
    if not (isinstance(kernel, Kernel) and plain and features.self_term and weights is not None and not weights.any()):
        raise InputError(
            f"this map over {kernel.name} gives no Nystrom features, whose inner products approximate a kernel: pass "
            "the map that nystrom_features makes of the same landmarks"
        )
    return kernel


def pair_rows(block: Block) -> int:
    """How many sampled rows to look at all pairs of."""
    return CALLED_ROWS if block.fn is not None and not getattr(block, "blockwise", False) else PAIR_ROWS


def frobenius_error(features: LandmarkMap, X: Array, n: int) -> FrobeniusError:
    """||K - F F^T||_F / ||K||_F over all n rows, from rows X (S, d) drawn uniformly without replacement.

    Both squared norms are estimated without bias, see `pair_ratio`, and exactly where S = n. Rows without features are
    left out.
    """
    kernel = check_features(features)
    X = np.asarray(X, np.float64)
    F = in_double(features)(X)
    good = np.isfinite(F).all(axis=1)
    X, F = X[good], F[good]
    K = np.asarray(kernel_block(X, X, kernel), np.float64)
    value, error = pair_ratio((K - F @ F.T) ** 2, K**2, n)
    return FrobeniusError(value, error, len(X))


def stress(X: Array, embedding: Array, block: Block, n: int) -> Estimate:
    """Kruskal's stress-1 between all n rows, from rows X (S, d) drawn uniformly and placed at `embedding` (S, k).

    sqrt(sum (o - e)^2 / sum o^2) over pairs, o their distances, e those of their places; see `pair_ratio`.
    """
    Y = np.asarray(embedding, np.float64)
    o, e = original_distances(X, X, block), np.sqrt(sq_euclidean(Y, Y))
    np.fill_diagonal(o, 0.0)
    np.fill_diagonal(e, 0.0)
    return pair_ratio((o - e) ** 2, o**2, n)


def pair_ratio(above: F64, below: F64, n: int) -> Estimate:
    """sqrt(sum above / sum below) over all pairs among n rows, from the pairs (S, S) among S rows drawn uniformly.

    Sums are Horvitz-Thompson estimates: off the diagonal a pair stands for n(n-1) / S(S-1) of all, on it for n / S.
    The standard error is the jackknife over rows (pairs share rows and are not independent), with the correction
    1 - S/n for drawing without replacement: 0 where all rows are looked at. NaN below 3 rows.
    """
    S = len(above)
    if S == 0:
        return Estimate(float("nan"), float("nan"))

    def estimate(values: F64) -> tuple[F64, F64]:
        """The sum over all pairs, (1,), and the same without each row, (S,)."""
        own = np.diagonal(values)
        across = values.sum(axis=1) - own
        all_own, all_across = own.sum(keepdims=True), across.sum(keepdims=True)
        less = _raise(all_across - 2 * across, all_own - own, n, S - 1) if S > 1 else np.zeros(1)
        return _raise(all_across, all_own, n, S), less

    (a, a_less), (b, b_less) = estimate(above), estimate(below)
    with np.errstate(invalid="ignore", divide="ignore"):  # a sample of zeros has no ratio: NaN
        value = float(np.sqrt(a / b)[0])
        without = np.sqrt(np.maximum(a_less, 0) / b_less)  # differences may be -1e-16
        spread = float(np.sqrt((S - 1) / S * np.sum((without - without.mean()) ** 2)))
    return Estimate(value, spread * float(np.sqrt(max(1 - S / n, 0.0))) if S > 2 else float("nan"))


def _raise(across: F64, own: F64, n: int, S: int) -> F64:
    """From sums over sampled pairs to sums over all; a single row says nothing of pairs."""
    pairs = n * (n - 1) / (S * (S - 1)) if S > 1 else 0.0
    return across * pairs + own * (n / S)


def variance_terms(X: Array, block: Metric) -> F64:
    """What each of S rows adds to the total variance, (S,): their mean is half the mean squared distance of two rows.

    In Euclidean geometry |x - mean|^2 S / (S - 1), the same by the identity of Huygens; for other metrics from all
    pairs, mean_j d(x_i, x_j)^2 less half its mean, so that this too is a sum over rows.
    """
    X = np.asarray(X, np.float64)
    S = len(X)
    if S < 2:
        raise InputError(f"total variance: got {S} row(s), at least 2 are needed")
    if block.transform is not None:
        rows = transform_rows(X, block.transform)
        rows = rows - rows.mean(axis=0)
        return np.asarray(np.vecdot(rows, rows) * (S / (S - 1)))
    D = np.asarray(sq_dists(X, X, block), np.float64)
    np.fill_diagonal(D, 0.0)
    means = D.sum(axis=1) / (S - 1)
    return np.asarray(means - means.mean() / 2)


def unexplained_share(residual: Array, terms: F64) -> Estimate:
    """Mean residual (S,) over mean variance term (S,) of the same sampled rows, 0 for a map that keeps all distances.

    May exceed 1, for landmarks far from the rows' mean, and be negative, where distances are not Euclidean.
    Standard error of a ratio of means to first order.
    """
    r = np.asarray(residual, np.float64)
    mean = float(terms.mean())
    if not mean > 0:
        return Estimate(float("nan"), float("nan"))
    value = float(r.mean()) / mean
    left = r - value * terms
    return Estimate(value, float(left.std(ddof=1) / np.sqrt(len(r)) / mean) if len(r) > 1 else float("nan"))
