"""The entry point of all strategies: the request is checked, then the strategy's function is called."""

from __future__ import annotations

from functools import cache
from numbers import Integral
from typing import Any

from threadpoolctl import ThreadpoolController

from landmark_ops.errors import InputError, Word
from landmark_ops.numerics.metric import Metric
from landmark_ops.numerics.random_streams import SEEDS
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.request import Request
from landmark_ops.selection.strategy import STRATEGIES, Strategy, strategies, strategy_names


def select(name: str, ask: Request) -> Landmarks:
    """Choose landmarks by the strategy `name`: the same ones for one seed, whatever the chunks, workers and engine.

    Strategies that do not compare rows by a kernel ignore it. Raises InputError for an unknown
    strategy, a count below 1 or above n, a missing kernel, and what the strategy refuses.
    """
    strategy = named_strategy(name)
    check_numbers(strategy, ask)
    check_blocks(strategy, ask)
    check_tolerance(strategy, ask)
    if not strategy.by_kernel:
        return strategy.select(ask)
    with one_blas_thread():
        return strategy.select(ask)


def named_strategy(name: str) -> Strategy:
    """The strategy of that name; InputError for an unknown name."""
    if name not in STRATEGIES:
        raise InputError(f"{Word.STRATEGY} {name!r} is unknown: choose one of {', '.join(strategy_names())}")
    return STRATEGIES[name]


def check_numbers(strategy: Strategy, ask: Request) -> None:
    """InputError for an invalid count or seed, and for own landmarks with a strategy that takes none."""
    if not isinstance(ask.count, Integral) or isinstance(ask.count, bool):
        raise InputError(f"{Word.COUNT} is {ask.count!r}, a whole number is needed")
    if ask.count < 1:
        raise InputError(f"{Word.COUNT} is {ask.count}, at least 1 is needed: raise {Word.COUNT}")
    if ask.count > ask.rows.n and not strategy.takes_own:
        raise InputError(
            f"{Word.COUNT} is {ask.count}, {ask.rows.uri} has {ask.rows.n} rows: lower {Word.COUNT} to at most "
            f"{ask.rows.n}"
        )
    if not 0 <= ask.seed < SEEDS:
        raise InputError(f"{Word.SEED} is {ask.seed}, needs 0 to 2^63 - 1: choose another")
    if not strategy.takes_own and (ask.indices is not None or ask.points is not None):
        own = " or ".join(one.name for one in strategies() if one.takes_own)
        raise InputError(f"{Word.STRATEGY} {strategy.name} takes no indices or points: use strategy {own} for them")


def check_blocks(strategy: Strategy, ask: Request) -> None:
    """InputError where a strategy lacks the kernel it chooses by, or cannot compare any two rows."""
    if strategy.needs_kernel and ask.kernel is None:
        *others, last = [one.name for one in strategies() if not one.by_kernel and not one.takes_own]
        raise InputError(
            f"{Word.STRATEGY} {strategy.name} chooses by a kernel, got none: use a method with a kernel, give "
            f"kernel=, or choose strategy {', '.join(others)} or {last}"
        )
    looks_at = ask.kernel or ask.metric or Metric("euclidean")
    if strategy.by_kernel and looks_at.family.precomputed:
        own = " or ".join(one.name for one in strategies() if one.takes_own)
        raise InputError(
            f"{Word.STRATEGY} {strategy.name} compares any two rows, which precomputed blocks do not allow: use "
            f"strategy {own}"
        )


def check_tolerance(strategy: Strategy, ask: Request) -> None:
    """InputError for an invalid tolerance, or one that the strategy does not take."""
    if ask.tolerance is not None and not strategy.takes_tolerance:
        taking = ", ".join(one.name for one in strategies() if one.takes_tolerance)
        raise InputError(
            f"{Word.TOLERANCE} is {ask.tolerance:g}, strategy {strategy.name} takes none: use strategy {taking}, or "
            f"leave {Word.TOLERANCE} out"
        )
    if ask.tolerance is not None and not 0 <= ask.tolerance < 1:
        raise InputError(f"{Word.TOLERANCE} is {ask.tolerance}, a relative trace error is 0 to 1: choose e.g. 1e-3")


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> Any:
    """A context in which BLAS uses one thread: sums, and so landmarks, do not depend on the number of cores."""
    return _thread_pools().limit(limits=1, user_api="blas")
