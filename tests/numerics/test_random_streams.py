"""Each thing a seed is used for has numbers of its own, and nothing in the package draws from anywhere else."""

import ast
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.random_streams import RowStream, Stream, derived_seed, generator, row_numbers
from landmark_ops.selection.probe import probe_rows
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.selection.strategy import strategies
from landmark_ops.stores.sources.rows import ArrayRows

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("landmark_ops", "flows") for path in (ROOT / folder).rglob("*.py"))
#: Where numbers come from; `as_seed` draws a new seed where none is given; a trial picture is no part of any run.
ALLOWED = ("numerics/random_streams.py", "detectors/trial.py")
WAITS = ("stores/faults.py", "stores/tables/delta_tables.py")  # by chance, so that many who failed do not come at once
MAKERS = {"default_rng", "Generator", "PCG64", "Philox", "MT19937", "SFC64", "SeedSequence", "RandomState", "seed"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_draws_outside_the_enumeration(path):
    """A generator of one's own, or a library seeded with the bare seed, would share its numbers with something else."""
    text = path.read_text()
    if str(path).endswith(ALLOWED) or not any(word in text for word in (*MAKERS, "random")):
        return
    assert "from numpy.random import" not in text
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called.rpartition(".")[2] not in MAKERS, f"line {node.lineno}: {called}"
        assert not called.startswith(("np.random.", "numpy.random.")), f"line {node.lineno}: {called}"
        for keyword in node.keywords:
            if keyword.arg == "random_state" or (keyword.arg == "seed" and called.startswith("faiss()")):
                assert ast.unparse(keyword.value) == "start", f"line {node.lineno}: {ast.unparse(keyword)}"


def test_chance_that_no_seed_repeats_decides_nothing_but_waits():
    drawing = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            if {"random", "secrets"} & set(names):
                drawing.add(str(path.relative_to(ROOT / "landmark_ops")))
    assert drawing == set(WAITS)


def test_every_stream_is_used_in_one_place():
    used = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("Stream", "RowStream"):
                used.setdefault(node.attr, set()).add(path.name)
    assert used.keys() == {stream.name for stream in (*Stream, *RowStream)}
    assert {name: files for name, files in used.items() if len(files - {"random_streams.py"}) != 1} == {}


def test_streams_share_no_numbers():
    drawn = {stream: generator(7, stream).random(50) for stream in Stream}
    drawn |= {(stream, 1): generator(7, stream, 1).random(50) for stream in Stream if stream != Stream.LANDMARKS}
    drawn |= {
        (stream, number, "rows"): row_numbers(7, stream, 0, 50, number) for stream in RowStream for number in (0, 1, 60)
    }
    everything = np.concatenate(list(drawn.values()))
    assert len(np.unique(everything)) == len(everything)
    seeds = [derived_seed(7, stream, number) for stream in Stream for number in (0, 1)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= derived_seed(7, stream, bits=31) < 2**31 for stream in Stream)


@given(
    st.integers(0, 2**63 - 1),
    st.integers(0, 9),
    st.integers(0, 10**12),
    st.lists(st.integers(0, 40), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_row_numbers_are_the_same_stream_however_it_is_split(
    seed: int, stream: int, start: int, lengths: list[int]
) -> None:
    bounds = start + np.cumsum([0, *lengths])
    whole = row_numbers(seed, RowStream.LEVERAGE_ROWS, start, int(bounds[-1]), stream)
    parts = [row_numbers(seed, RowStream.LEVERAGE_ROWS, int(a), int(b), stream) for a, b in pairwise(bounds)]
    np.testing.assert_array_equal(whole, np.concatenate([np.empty(0), *parts]))


def test_row_numbers_start_as_philox_does_and_differ_by_seed_and_stream() -> None:
    key = np.array([7, 2], np.uint64)
    np.testing.assert_array_equal(
        row_numbers(7, RowStream.LEVERAGE_ROWS, 0, 50, 2), np.random.Generator(np.random.Philox(key=key)).random(50)
    )
    draws = [row_numbers(seed, RowStream.LEVERAGE_ROWS, 0, 20_000, stream) for seed, stream in ((0, 0), (0, 1), (1, 0))]
    assert np.abs(np.corrcoef(draws) - np.eye(3)).max() < 0.03
    assert abs(draws[0].mean() - 0.5) < 0.01


def test_numpy_itself_does_not_tell_a_list_ending_in_zeros_from_the_seed():
    """Why only landmarks have stream 0."""
    assert np.random.PCG64([7, 0, 0]).random_raw() == np.random.PCG64(7).random_raw()


def test_uniform_landmarks_of_a_seed_are_those_they_always_were():
    X = np.arange(500.0)[:, None]
    found = select("uniform", Request(ArrayRows(X), 20, 9, LocalEngine(1)))
    expected = np.random.Generator(np.random.PCG64(9)).choice(500, 104, replace=False)[:20]
    np.testing.assert_array_equal(found.indices, expected)


N, SAMPLED, COUNT = 4000, 800, 200
KERNEL = Kernel("rbf", gamma=0.5)


def overlap(indices):
    """How many landmarks lie among the rows that an embed run of the same seed measures quality on."""
    sample = generator(3, Stream.QUALITY_SAMPLE).choice(N, SAMPLED, replace=False, shuffle=False)
    return int(np.isin(indices, sample).sum())


@pytest.mark.parametrize("share_bad", [0.0, 0.7], ids=["good", "bad"])
@pytest.mark.parametrize("strategy", [one.name for one in strategies() if not one.takes_own and one.name != "kmeans"])
def test_landmarks_lie_among_the_rows_that_quality_is_measured_on_as_often_as_chance_has_it(strategy, share_bad, rng):
    X = rng.normal(size=(N, 3)).astype(np.float32)
    X[rng.random(N) < share_bad] = np.nan
    kernel = KERNEL if strategy not in ("uniform", "maxmin") else None
    found = select(strategy, Request(ArrayRows(X), COUNT, 3, LocalEngine(1), kernel=kernel, skip_bad_rows=True))
    low, high = binom.ppf([1e-4, 1 - 1e-4], COUNT, SAMPLED / N)
    assert low <= overlap(found.indices) <= high


def test_the_rows_a_bandwidth_is_probed_on_are_not_the_landmarks(monkeypatch):
    monkeypatch.setattr("landmark_ops.selection.probe.PROBE_ROWS", SAMPLED)
    X = np.arange(float(N))[:, None]
    probed = probe_rows(ArrayRows(X), 3, LocalEngine(1))[:, 0].astype(int)
    found = select("uniform", Request(ArrayRows(X), COUNT, 3, LocalEngine(1)))
    low, high = binom.ppf([1e-4, 1 - 1e-4], COUNT, SAMPLED / N)
    assert low <= np.isin(found.indices, probed).sum() <= high
