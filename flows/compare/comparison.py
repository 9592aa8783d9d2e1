"""The settings of a comparison, checked before any landmark is selected."""

from __future__ import annotations

from typing import NamedTuple

from flows.embed.inputs import check_counts
from flows.embed.places import address, check_apart, check_writable
from flows.embed.plan import check_local, landmark_count, make_plan
from flows.embed.sources import open_source
from landmark_ops.configs.embed import CompareConfig
from landmark_ops.errors import InputError
from landmark_ops.selection.strategy import strategies
from landmark_ops.solver.geometry import named_block
from landmark_ops.stores.embeddings.format import without_suffix
from landmark_ops.stores.sources.rows import Rows

SERIES = 4  # numbers of landmarks where none are given


class Comparison(NamedTuple):
    """A checked comparison: its config, rows, what is compared, and the folder its page goes to."""

    config: CompareConfig
    rows: Rows
    fingerprint: str
    strategies: tuple[str, ...]
    counts: tuple[int, ...]
    place: str


def open_comparison(config: CompareConfig) -> Comparison:
    """Open the source and settle what is to be compared. Writes nothing; raises InputError for what cannot work."""
    check_method(config)
    rows = open_source(config)
    counts = tuple(sorted(config.compare.counts or default_counts(config, rows.n)))
    largest = config.model_copy(
        update={"landmarks": config.landmarks.model_copy(update={"count": counts[-1], "strategy": "uniform"})}
    )
    if counts[-1] > rows.n:
        raise InputError(
            f"compare.counts: {counts[-1]} exceeds the {rows.n} rows of {rows.uri}: compare at most {rows.n} landmarks"
        )
    check_counts(largest, rows, None)
    check_local(make_plan(largest, rows), rows, config.cluster)
    place = compare_address(address(config.output.uri, config))
    check_apart(rows.uri, place)
    check_writable(place)
    names = config.compare.strategies or default_strategies(config)
    return Comparison(config, rows, rows.fingerprint(), names, counts, place)


def check_method(config: CompareConfig) -> None:
    """InputError for methods whose landmarks one error cannot judge, and for sources of blocks instead of rows."""
    method = config.method
    block = named_block(method.make())
    if not method.compared:
        raise InputError(
            f"method {method.name}: compare measures what landmarks leave of a kernel or, with landmark_mds, of "
            "distances: set method.name: landmark_mds with the same metric, or a kernel method"
        )
    if block is not None and block.family.precomputed:
        raise InputError(
            f"method {method.name} on precomputed blocks: their columns belong to landmarks chosen already, there is "
            "nothing to compare: give the rows themselves and a named metric or kernel"
        )


def default_strategies(config: CompareConfig) -> tuple[str, ...]:
    """All strategies that work for the method: those that choose by a kernel need a method with one."""
    kernel = config.method.make().choice is not None
    return tuple(one.name for one in strategies() if not one.takes_own and (kernel or not one.needs_kernel))


def default_counts(config: CompareConfig, n: int) -> tuple[int, ...]:
    """A series up to landmarks.count (1,000, or every row, where left out), each half the next."""
    top = landmark_count(config, n)
    least = config.method.fewest_compared
    halves = {-(-top // 2**power) for power in range(SERIES)}
    return tuple(count for count in halves if count >= least) or (top,)


def compare_address(uri: str) -> str:
    """The folder of the comparison, beside the embedding: out/patches.zarr -> out/patches.compare."""
    return f"{without_suffix(uri.rstrip('/'))}.compare"
