"""Residuals of rows given landmarks: what of k(x, x) the landmarks leave unexplained, and passes that look for more.

With L the Cholesky factor of K_ZZ, the landmarks' features of a row are f(x) = L^-1 k(Z, x), and its residual is
k(x, x) - |f(x)|^2: the squared distance of x from the span of the landmarks in the kernel's space, the variance of a
Gaussian process, and the diagonal of K - K_nZ K_ZZ^-1 K_Zn, whose sum over all rows is the trace error. No array of
length n is ever held: a pass computes the residuals of a block anew and keeps only the few rows it came for.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dtrsm, strsm
from threadpoolctl import ThreadpoolController

from landmark_ops.engine.engine import Item
from landmark_ops.errors import InputError, Word
from landmark_ops.numerics.distances import Array, Metric
from landmark_ops.numerics.domains import domain
from landmark_ops.numerics.kernel import Kernel, kernel_block, kernel_diagonal
from landmark_ops.numerics.random_streams import RowStream, row_numbers
from landmark_ops.numerics.ranges import squares_fit
from landmark_ops.selection.grid import block_rows, grid, power_of_two, read_usable, working_rows
from landmark_ops.selection.landmarks import Request, Rule
from landmark_ops.stores.sources.rows import Rows

F64 = NDArray[np.float64]
Precision = Literal["float32", "float64"]

LEAST_BLOCK = 1 << 10
SHARED_BY = 8  # blocks that even a small source is cut into, so that a few workers share it
TILE_ELEMENTS = 1 << 20  # of a (rows, landmarks) tile: stays in the processor's cache
# Residuals of at most so much of k(x, x) are rounding: such rows coincide with landmarks, or with their span. Measured
# on rows of exact low rank, 660 eps (float64); on image patches, 60 eps (float32).
RANK_CUTOFF = 4e-13
RANK_CUTOFF_FLOAT32 = 1e-5
NEGATIVE = 1e-2  # of k(x, x): a residual this far below 0 is no rounding, the kernel is not positive semidefinite
# Mean residual, relative to k(x, x), above which float32 rows are judged in float32. On image patches residuals then
# err by 7e-6 k(x, x), and their sum by 4e-4 of it at a mean of 2.6e-3.
FLOAT32_ABOVE = 2e-3
FLOAT32_PIVOT = 1e-6  # and only if every landmark had a residual of so much of k(z, z) when chosen: L^-1 magnifies


class Pivots(NamedTuple):
    """j landmarks in the order chosen: indices (j,) int64 global, stored (j, d) stored dtype, L (j, j) float64.

    L is the Cholesky factor of K_ZZ, or of K_ZZ plus a ridge where ridge leverage is meant.
    """

    indices: NDArray[np.int64]
    stored: Array
    L: F64


class Sweep(NamedTuple):
    """What one pass found: the candidates with the smallest keys, and sums over all usable rows.

    indices (c,), stored (c, d), keys (c,), residuals (c,) float64, ascending by key; `rows` usable rows seen; `trace`
    the sum of k(x, x), `left` of residuals, explained (j,) of f_j(x)^2: the trace that landmark j took away.
    """

    indices: NDArray[np.int64]
    stored: Array
    keys: F64
    residuals: F64
    rows: int
    trace: float
    left: float
    explained: F64


def no_pivots(rows: Rows) -> Pivots:
    """No landmarks yet."""
    return Pivots(np.zeros(0, np.int64), np.zeros((0, rows.d), rows.dtype), np.zeros((0, 0)))


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> Any:
    """A context in which BLAS uses one thread: sums, and so landmarks, do not depend on the number of cores."""
    return _thread_pools().limit(limits=1, user_api="blas")


def kernel_of(ask: Request) -> Kernel:
    """The kernel of a request, which `select` has made sure is there."""
    assert ask.kernel is not None
    return ask.kernel


def row_rule(kernel: Kernel) -> Rule:
    """What decides which rows a kernel can use: cosine needs a direction, chi2 no negative values."""
    if kernel.name == "cosine":
        return Metric("cosine")
    return kernel if domain(kernel) is not None else None


def kernel_items(n: int, d: int) -> list[Item]:
    """The fixed grid of passes that evaluate kernels: at least SHARED_BY blocks of at least LEAST_BLOCK rows."""
    return grid(n, min(block_rows(d), max(LEAST_BLOCK, power_of_two(n // SHARED_BY))))


def diagonal(X: Array, kernel: Kernel) -> F64:
    """k(x, x) of rows X (b, d), (b,) float64. Raises InputError where it is negative, NaN or Inf."""
    values = _diagonal(X, kernel)
    if not np.isfinite(values).all():
        raise undefined(kernel)
    if (values < 0).any():
        raise not_positive(kernel, f"k(x, x) = {values.min():.3g}")
    return values


def gram(X: Array, Z: Array, kernel: Kernel) -> F64:
    """k(x, z) of rows X (b, d) and Z (c, d) in float64, (b, c). Raises InputError where a value is NaN or Inf."""
    if len(X) == 0 or len(Z) == 0:
        return np.zeros((len(X), len(Z)))
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.asarray(kernel_block(X.astype(np.float64), Z.astype(np.float64), kernel), np.float64)
    if not np.isfinite(values).all():
        raise undefined(kernel)
    return values


def _diagonal(X: Array, kernel: Kernel) -> F64:
    with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused
        return np.asarray(kernel_diagonal(X.astype(np.float64), kernel), np.float64) if len(X) else np.zeros(0)


def tile_rows(columns: int, d: int) -> int:
    """Rows per tile of `columns` landmarks."""
    return min(max(TILE_ELEMENTS // max(columns, d), 16), 4096)


def features(X: Array, Z: Array, L: F64, kernel: Kernel) -> Array:
    """f(x) = L^-1 k(Z, x) of rows X (b, d) and landmarks Z (j, d), (b, j), in the dtype of X."""
    if len(X) == 0 or len(Z) == 0:
        return np.zeros((len(X), len(Z)), X.dtype)
    block = np.asarray(kernel_block(X, Z, kernel), X.dtype, order="C")
    solve = strsm if X.dtype == np.float32 else dtrsm
    return solve(1.0, np.asfortranarray(L, X.dtype), block.T, lower=1, overwrite_b=1).T


class Residuals(NamedTuple):
    """Of b rows: diag (b,) = k(x, x), left (b,) float64, and the sums (j,) of f_j(x)^2 over them."""

    diag: F64
    left: F64
    explained: F64


def residuals(X: Array, pivots: Pivots, kernel: Kernel, precision: Precision) -> Residuals:
    """Residuals of working rows X (b, d), computed tile by tile in one precision; 0 where only rounding is left.

    float32 gives way to float64 where it overflows. Raises InputError where the kernel is not finite or not positive
    semidefinite.
    """
    if precision == "float32":
        with np.errstate(over="ignore", invalid="ignore"):
            found = _residuals(X.astype(np.float32), pivots, kernel)
        if np.isfinite(found.left).all():
            return checked(found, np.float32, kernel)
    with np.errstate(over="ignore", invalid="ignore"):
        found = _residuals(X.astype(np.float64), pivots, kernel)
    return checked(found, np.float64, kernel)


def _residuals(X: Array, pivots: Pivots, kernel: Kernel) -> Residuals:
    diag = _diagonal(X, kernel)
    left, explained = diag.copy(), np.zeros(len(pivots.L))
    Z, L = working_rows(pivots.stored, None).astype(X.dtype), np.asfortranarray(pivots.L, X.dtype)
    step = tile_rows(len(L), X.shape[1])
    for at in range(0, len(X) if len(L) else 0, step):
        F = features(X[at : at + step], Z, L, kernel)
        np.multiply(F, F, out=F)
        left[at : at + step] -= F.sum(axis=1, dtype=np.float64)
        explained += F.sum(axis=0, dtype=np.float64)
    return Residuals(diag, left, explained)


def checked(found: Residuals, dtype: type, kernel: Kernel) -> Residuals:
    """`found` with rounding cleared from `left`, or InputError where the numbers make no sense."""
    diag, left, explained = found
    if not (np.isfinite(left).all() and np.isfinite(diag).all()):
        raise undefined(kernel)
    if (diag < 0).any():
        raise not_positive(kernel, f"k(x, x) = {diag.min():.3g}")
    if (left < -NEGATIVE * diag).any():
        raise not_positive(kernel, f"a residual of {(left[diag > 0] / diag[diag > 0]).min():.3g} k(x, x)")
    cutoff = RANK_CUTOFF_FLOAT32 if dtype == np.float32 else RANK_CUTOFF
    return Residuals(diag, clear(left, cutoff * diag), explained)


def undefined(kernel: Kernel) -> InputError:
    """The error for NaN or Inf where a number was needed."""
    return InputError(
        f"kernel {kernel.name}: values among the rows are NaN or Inf, all must be finite: scale the rows, or choose a "
        "kernel that is defined for them"
    )


def not_positive(kernel: Kernel, what: str) -> InputError:
    """The error for a kernel that is not positive semidefinite on these rows."""
    return InputError(
        f"kernel {kernel.name} is not positive semidefinite on these rows: found {what}, at least 0 is needed: choose "
        "strategy uniform, or another kernel"
    )


def too_few(ask: Request, found: int, why: str) -> InputError:
    """The error for fewer landmarks than asked for."""
    return InputError(
        f"{ask.rows.uri}: only {found} landmarks can be had ({why}), {Word.COUNT} is {ask.count}: lower "
        f"{Word.COUNT} to {found}"
    )


def precision_for(rows: Rows, relative: float, pivots: Pivots) -> Precision:
    """In what precision to judge rows whose residuals are about `relative` times k(x, x), given these landmarks."""
    small = rows.dtype.kind == "f" and rows.dtype.itemsize <= 4
    own, all_of = np.diagonal(pivots.L) ** 2, np.einsum("ij,ij->i", pivots.L, pivots.L)
    fit = bool((own >= FLOAT32_PIVOT * all_of).all())
    fit &= len(own) == 0 or squares_fit(float(all_of.max()), np.dtype(np.float32))
    return "float32" if small and fit and relative > FLOAT32_ABOVE else "float64"


def race(weights: F64, uniforms: F64) -> F64:
    """Keys E / w with E exponential, (b,): the j smallest are j rows drawn without replacement with weights w (b,).

    Efraimidis & Spirakis 2006. Inf, so never drawn, where w = 0.
    """
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(weights > 0, -np.log1p(-uniforms) / weights, np.inf)


class Draw(NamedTuple):
    """Which rows a pass looks for: `wanted` rows without replacement, with weights residual.

    stream, number: of random numbers per row, none used twice. cap: weights are residual / cap, at most 1: ridge
    leverage scores where L holds the ridge `cap`; 0 for none. distinct: of rows that coincide only one is drawn.
    """

    wanted: int
    seed: int
    stream: RowStream
    number: int = 0
    cap: float = 0.0
    distinct: bool = False


def sweep(ask: Request, pivots: Pivots, draw: Draw, precision: Precision) -> Sweep:
    """One pass over all rows: candidates drawn by residual, and the sums. n (j + 1) evaluations of the kernel."""
    items = kernel_items(ask.rows.n, ask.rows.d)
    common = (ask.rows, pivots, kernel_of(ask), ask.skip_bad_rows, draw, precision)
    return ask.engine.reduce(sweep_block, partial(merge_sweeps, draw=draw), items, *common, done=ask.done)


def sweep_block(
    item: Item, rows: Rows, pivots: Pivots, kernel: Kernel, skip: bool, draw: Draw, precision: Precision
) -> Sweep:
    """The part of one block in a `sweep`."""
    indices, stored, X = read_usable(item, rows, row_rule(kernel), skip)
    diag, left, explained = residuals(X, pivots, kernel, precision)
    uniforms = row_numbers(draw.seed, draw.stream, *item, draw.number)[indices - item[0]]
    keys = race(np.minimum(left / draw.cap, 1.0) if draw.cap else left, uniforms)
    part = Sweep(indices, stored, keys, left, len(X), float(diag.sum()), float(left.sum()), explained)
    return merge_sweeps([part], draw=draw)


def merge_sweeps(parts: list[Sweep], *, draw: Draw) -> Sweep:
    """Several parts as one, with the `draw.wanted` smallest keys of them all."""
    keys = np.concatenate([part.keys for part in parts])
    indices = np.concatenate([part.indices for part in parts])
    order = np.lexsort((indices, keys))
    order = order[np.isfinite(keys[order])]
    stored = np.concatenate([part.stored for part in parts])
    order = order[first_of_equals(stored, order, draw.wanted)] if draw.distinct else order[: draw.wanted]
    return Sweep(
        indices[order],
        stored[order],
        keys[order],
        np.concatenate([part.residuals for part in parts])[order],
        sum(part.rows for part in parts),
        sum(part.trace for part in parts),
        sum(part.left for part in parts),
        np.sum([part.explained for part in parts], axis=0),
    )


def first_of_equals(stored: Array, order: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Positions in `order` of its first `wanted` rows of stored (b, d) that differ from all rows before them."""
    look = 2 * wanted
    while True:
        head = np.ascontiguousarray(stored[order[:look]])
        if head.dtype.kind == "f":
            head = head + head.dtype.type(0)  # -0.0 is 0.0
        as_bytes = (
            head.view(np.dtype((np.void, head.dtype.itemsize * head.shape[1])))[:, 0] if len(head) else head[:, 0]
        )
        first = np.sort(np.unique(as_bytes, return_index=True)[1])
        if len(first) >= wanted or look >= len(order):
            return first[:wanted]
        look *= 4


def clear(values: F64, floor: F64) -> F64:
    """Residuals (c,) with those of at most `floor` (c,), which are rounding, set to 0."""
    return np.where(values > floor, values, 0.0)


class Candidates:
    """Rows among which the centre chooses landmarks one at a time, in float64.

    Attributes
    ----------
    stored, X
        (c, d) as stored, and as float64.
    F
        (c, j + room) features, the first `used` columns of it so far.
    now
        (c,) residuals, 0 for those chosen and those that only rounding keeps from 0.
    """

    def __init__(self, indices: NDArray[np.int64], stored: Array, X: F64, F: F64, used: int, diag: F64) -> None:
        self.indices, self.stored, self.X, self.F, self.used = indices, stored, X, F, used
        self.floor = RANK_CUTOFF * diag
        self.now = clear(diag - np.einsum("ij,ij->i", F, F), self.floor)

    @classmethod
    def of(cls, found: Sweep, pivots: Pivots, kernel: Kernel, most: int) -> Candidates:
        """The candidates of a pass, with room for `most` landmarks in all."""
        X = working_rows(found.stored, None).astype(np.float64)
        F = np.zeros((len(X), most))
        F[:, : len(pivots.L)] = features(X, working_rows(pivots.stored, None).astype(np.float64), pivots.L, kernel)
        return cls(found.indices, found.stored, X, F, len(pivots.L), diagonal(X, kernel))

    def take(self, which: int, kernel: Kernel) -> F64:
        """Make a candidate a landmark; returns its feature of all candidates, (c,)."""
        a, root = self.used, np.sqrt(self.now[which])
        column = gram(self.X, self.X[which : which + 1], kernel)[:, 0]
        self.F[:, a] = (column - self.F[:, :a] @ self.F[which, :a]) / root
        self.F[which, a] = root
        self.now = clear(self.now - self.F[:, a] ** 2, self.floor)
        self.now[which] = 0.0
        self.used += 1
        return self.F[:, a]

    def gram(self, kernel: Kernel) -> F64:
        """The kernel among the candidates less what `F` explains, (c, c), Fortran order."""
        F = self.F[:, : self.used]
        return np.asfortranarray(gram(self.X, self.X, kernel) - F @ F.T)

    def shrunk(self, found: Sweep) -> float:
        """By what factor the candidates' residuals have fallen since the pass that found them, on average."""
        return float(np.mean(self.now / found.residuals)) if len(self.now) else 0.0

    def extend(self, pivots: Pivots, chosen: list[int]) -> Pivots:
        """`pivots` and the candidates `chosen`, in the order they were taken: their features are rows of L."""
        before = len(pivots.L)
        L = np.zeros((self.used, self.used))
        L[:before, :before] = pivots.L
        L[before:] = self.F[chosen, : self.used]
        indices = np.concatenate([pivots.indices, self.indices[chosen]])
        return Pivots(indices, np.concatenate([pivots.stored, self.stored[chosen]]), np.tril(L))
