"""A request to a strategy: how many landmarks, of which rows, and everything it may use to choose them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numpy.typing import ArrayLike

from landmark_ops.engine.protocol import Engine
from landmark_ops.errors import InputError, Word
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.metric import Metric
from landmark_ops.row_range import Done
from landmark_ops.selection.usable_rows import Rule
from landmark_ops.stores.sources.rows import Rows

Planned = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Request:
    """Everything a strategy may use to choose `count` landmarks among `rows`.

    metric
        Geometry of strategies that look at distances; None is Euclidean, and then only NaN and Inf are unusable. Where
        none look at distances it may be a kernel, which says which rows are usable.
    skip_bad_rows
        Pass over rows that are not usable instead of refusing the source.
    indices, points
        The user's own landmarks, for `given`.
    kernel, tolerance
        For strategies that look at a kernel: the kernel with its parameters resolved, and for rpcholesky the relative
        trace error at which fewer landmarks than `count` are enough.
    done, planned
        Progress: `planned(total)` announces how many rows all block passes together go through (again, when that
        changes: k-means may stop early), `done((start, stop))` is called for each range gone through.
    """

    rows: Rows
    count: int
    seed: int
    engine: Engine
    metric: Rule = None
    skip_bad_rows: bool = False
    indices: ArrayLike | None = None
    points: ArrayLike | None = None
    done: Done | None = None
    planned: Planned | None = None
    kernel: Kernel | None = None
    tolerance: float | None = None

    @property
    def geometry(self) -> Metric:
        """The metric, Euclidean where there is none."""
        return self.metric if isinstance(self.metric, Metric) else Metric("euclidean")

    def plan(self, total: int) -> None:
        """Announce that the passes go through `total` rows."""
        if self.planned is not None:
            self.planned(total)


def kernel_of(ask: Request) -> Kernel:
    """The kernel of a request, which `select` has made sure is there."""
    assert ask.kernel is not None
    return ask.kernel


def too_few(ask: Request, found: int, why: str) -> InputError:
    """The error for fewer landmarks than asked for."""
    return InputError(
        f"{ask.rows.uri}: only {found} landmarks can be had ({why}), {Word.COUNT} is {ask.count}: lower "
        f"{Word.COUNT} to {found}"
    )
