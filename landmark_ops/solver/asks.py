"""How a method gets data while it is solved: it yields asks, in order, and is sent the answers.

A solve is a generator. It yields an ask (sums over all rows, a sample of rows, geodesics), is sent the answer, and
returns its `Solution`:

    def solve(self, Z, dtype):
        started = self.start(Z, dtype)
        summed = yield moments(started.map)        # one pass over all rows
        return self.finish(started, summed)

Several methods are driven side by side: they share each pass, each chunk read, and each block they have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.errors import InputError, Word
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import Sum
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.passes.lookup import gather
from landmark_ops.passes.sums import sum_over
from landmark_ops.passes.targets import Targets, as_numbers
from landmark_ops.passes.undefined_rows import refuse_undefined
from landmark_ops.row_range import Done, RowRange
from landmark_ops.selection.usable_rows import good
from landmark_ops.solver.method import Solution
from landmark_ops.stores.sources.rows import Rows

Watch = Callable[[str, int], AbstractContextManager[Done | None]]


@contextmanager
def unwatched(stage: str, total: int) -> Iterator[Done | None]:
    """No progress is shown."""
    yield None


@dataclass(frozen=True, eq=False)
class Source:
    """The source of answers: the rows, the engine that computes, and how progress is shown.

    items
        The ranges of rows that blocks are read in.
    missing
        Called with the number of rows that had no coordinates in a pass, before its sums are used; None refuses them.
    watch
        `with watch(stage, rows) as done` shows the progress of a pass.
    scratch
        Address under which large intermediate arrays may be written; None keeps them in memory.
    landmark_indices
        Row numbers of the landmarks, (m,), -1 for those that are no rows.
    skip_bad_rows
        Whether rows with NaN or Inf are passed over instead of refused.
    """

    rows: Rows
    engine: Engine
    items: list[RowRange]
    seed: int
    targets: Targets | None = None
    missing: Callable[[int], None] | None = None
    watch: Watch = unwatched
    scratch: str | None = None
    landmark_indices: NDArray[np.int64] | None = None
    skip_bad_rows: bool = False

    def sum(self, asks: Sequence[Sum[Any]]) -> list[Any]:
        """The answers to several sums, from one pass.

        Raises InputError for targets that are Inf, and where no row has coordinates.
        """
        with self.watch(asks[0].name, self.rows.n) as done:
            summed = sum_over(self.rows, asks, self.engine, self.items, self.targets, done)
        if summed.infinite and self.missing is None and self.targets is not None:
            raise InputError(
                f"{Word.TARGET} {self.targets.rows.uri}: {summed.infinite:,} of {self.rows.n:,} values are Inf, the "
                f"first is that of row {summed.first}: clean them{Word.OR_LEAVE_OUT}"
            )
        if summed.rows < self.rows.n:
            self._tell_missing(self.rows.n - summed.rows, [fitted for ask in asks for fitted in ask.maps])
        if summed.rows == 0:
            raise InputError(f"{self.rows.uri}: none of its {self.rows.n:,} rows has coordinates: clean the source")
        return summed.values

    def _tell_missing(self, count: int, maps: list[LandmarkMap]) -> None:
        if self.missing is not None:
            self.missing(count)
            return
        for fitted in maps:
            refuse_undefined(self.rows, fitted, self.engine, self.items)


class Ask(Protocol):
    """Anything a solve may yield besides a `Sum`."""

    def answer(self, source: Source) -> Any:
        """The answer that is sent to the solve."""
        ...


Solve = Generator[Sum[Any] | Ask, Any, Solution]


class Drawn(NamedTuple):
    """Sampled rows: indices (s,) ascending, X (s, d), y (s, 1) as `Targets` read them, or None."""

    indices: NDArray[np.int64]
    X: Array
    y: NDArray[Any] | None


@dataclass(frozen=True)
class Draw:
    """Ask for up to `count` rows drawn uniformly, with their targets if wanted; `stream` tells draws apart.

    Rows with NaN or Inf are left out; of rows with targets, only those that are learned from.
    """

    count: int
    stream: Stream
    targets: bool = False

    def answer(self, source: Source) -> Drawn:
        """The rows, the same for one seed whatever the chunks and workers."""
        n = source.rows.n
        random = generator(source.seed, self.stream)
        indices = np.sort(random.choice(n, min(n, self.count), replace=False, shuffle=False)).astype(np.int64)
        y = None
        if self.targets:
            assert source.targets is not None
            indices = indices[[bool(source.targets.trains(int(i), int(i) + 1)[0]) for i in indices]]
            y = as_numbers(gather(source.targets.rows, indices, source.engine))
        with source.watch("sample", len(indices)):
            X = gather(source.rows, indices, source.engine)
        keep = good(X) & (True if y is None else np.isfinite(y).all(axis=1))
        return Drawn(indices[keep], X[keep], None if y is None else y[keep])


def solve_all(solves: Sequence[Solve], source: Source) -> list[Solution]:
    """Drive several solves to their ends, each pass over the rows shared by all that wait for one."""
    solutions: dict[int, Solution] = {}
    waiting: dict[int, Sum[Any] | Ask] = {}

    def go_on(at: int, answer: Any) -> None:
        try:
            waiting[at] = solves[at].send(answer)
        except StopIteration as end:
            solutions[at] = end.value

    for at in range(len(solves)):
        go_on(at, None)
    while waiting:
        asks, waiting = waiting, {}
        others = {at: ask for at, ask in asks.items() if not isinstance(ask, Sum)}
        for at, ask in others.items():
            go_on(at, ask.answer(source))
        sums = {at: ask for at, ask in asks.items() if isinstance(ask, Sum)}
        if others:  # solves that just went on may ask for a pass too: wait for them
            waiting |= sums
        elif sums:
            for at, answer in zip(sums, source.sum(list(sums.values())), strict=True):
                go_on(at, answer)
    return [solutions[at] for at in range(len(solves))]


def solve_one(solve: Solve, source: Source) -> Solution:
    """Drive a single solve to its end."""
    return solve_all([solve], source)[0]
