"""Messages use the names that their reader knows: keys of a config, parameters of an estimator, arguments."""

import ast
import pickle
import re
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from landmark_ops import LandmarkMDS, NystroemRidge, NystroemRidgeClassifier, SpectralEmbedding, select_landmarks
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import BadRowsError, Edge, InputError, RunError, Word, in_words_of, speaks
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.stores.sources.rows import ArrayRows

ROOT = Path(__file__).parents[1]
X = np.random.default_rng(0).uniform(0.1, 1, size=(40, 3))
#: Every key of a config as messages write it: landmarks.count, source.bad_rows ...
KEYS = {
    f"{name}.{key}"
    for name, section in EmbedConfig.model_fields.items()
    for key in getattr(section.annotation, "model_fields", {})
} | {"method.n_components", "method.metric", "target.array", "target.column", "target.uri", "target.held_out"}


@pytest.mark.parametrize(
    ("edge", "text"),
    [
        (Edge.CONFIG, "landmarks.count is 0: use landmarks.strategy: uniform"),
        (Edge.TARGET, "landmarks.count is 0: use landmarks.strategy: uniform"),
        (Edge.ESTIMATOR, "n_landmarks is 0: use selection='uniform'"),
        (Edge.CALL, "m is 0: use strategy='uniform'"),
    ],
)
@pytest.mark.parametrize("kind", [InputError, RunError])
def test_an_error_reads_in_the_words_of_its_edge(kind, edge, text):
    @speaks(edge)
    def fail():
        raise kind(f"{Word.COUNT} is 0: use {Word.STRATEGY:uniform}")

    with pytest.raises(kind) as found:
        fail()
    assert str(found.value) == found.value.args[0] == text
    travelled = pickle.loads(pickle.dumps(found.value))  # a new process does not know the edge: it is set again
    travelled.speak(edge)
    assert str(travelled) == text


def test_the_outermost_edge_is_the_one_a_person_stands_at():
    with pytest.raises(InputError, match=r"^target\.array"), speaks(Edge.TARGET), speaks(Edge.CALL):
        raise InputError(f"{Word.ARRAY}: is missing")


@pytest.mark.parametrize("word", Word)
def test_every_word_is_known_at_every_edge(word):
    for edge in Edge:
        said = in_words_of(f"{word}", edge)
        assert "\ue000" not in said
        assert bool(KEYS & set(re.findall(r"[a-z]+\.[a-z_]+", said))) <= (edge in (Edge.CONFIG, Edge.TARGET))


def test_text_of_others_is_left_alone():
    text = "column \ue000nobody\ue001 and {count}"
    assert all(in_words_of(text, edge) == text for edge in Edge)


FAULTS = {
    "unknown strategy": (lambda: LandmarkMDS(2, selection="best"), r"selection 'best' is unknown"),
    "too few usable": (lambda: LandmarkMDS(2, n_landmarks=0), r"n_landmarks=0: at least 1 is needed"),
    "precomputed": (lambda: LandmarkMDS(2, n_landmarks=9, metric="precomputed", selection="maxmin"), "row numbers"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("rows", [X, da.from_array(X, chunks=10)], ids=["memory", "dask"])
def test_estimators_speak_of_their_parameters(fault, rows):
    make, message = FAULTS[fault]
    with pytest.raises(InputError, match=message) as found:
        make().fit(rows)
    assert not KEYS & set(re.findall(r"[a-z]+\.[a-z_]+", str(found.value)))


def test_a_strategy_that_finds_too_few_speaks_to_whom_it_should():
    few = np.repeat(X[:4], 10, axis=0)
    with pytest.raises(InputError, match=r"n_landmarks is 9: lower n_landmarks to 4$"):
        LandmarkMDS(2, n_landmarks=9, selection="maxmin", random_state=0).fit(few)
    with pytest.raises(InputError, match=r", m is 9: lower m to 4$"):
        select_landmarks(few, 9, "maxmin", random_state=0)
    with pytest.raises(InputError, match=r"landmarks\.count is 9: lower landmarks\.count to 4$"):
        select("maxmin", Request(ArrayRows(few), 9, 0, LocalEngine(1)))


def test_undefined_rows_are_named_to_an_estimator_without_a_config():
    zeros = np.vstack([X, np.zeros((2, 3))])
    model = SpectralEmbedding(2, n_landmarks=20, kernel="cosine", selection=np.arange(20))
    with pytest.raises(InputError, match=r"2 of 42 rows are zero rows, .*, the first is row 40: drop them") as found:
        model.fit(zeros)
    assert "bad_rows" not in str(found.value)


def test_bad_rows_under_a_lazy_estimator_speak_of_no_key():
    bad = X.copy()
    bad[7] = np.nan
    with pytest.raises(BadRowsError, match=r"1 of 40 rows hold NaN or Inf, the first is row 7: clean the rows$"):
        LandmarkMDS(2, n_landmarks=40, selection="maxmin", random_state=0).fit(da.from_array(bad, chunks=10))


def test_targets_are_called_y_by_estimators():
    y = np.arange(40) % 3 + 0.5
    with pytest.raises(InputError, match=r"^y: 0\.5 is not a class, .* use a regressor, e\.g\. NystroemRidge$"):
        NystroemRidgeClassifier(n_landmarks=9).fit(X, da.from_array(y, chunks=10))
    with pytest.raises(InputError, match=r"^y <dask array>: 39 values for 40 rows"):
        NystroemRidge(n_landmarks=9).fit(da.from_array(X, chunks=10), da.from_array(y[:39], chunks=10))


def test_warnings_too():
    twice = np.vstack([X[:10], X[:10]])
    with pytest.warns(UserWarning, match=r"use selection='maxmin'$"):
        LandmarkMDS(2, n_landmarks=20, selection=np.arange(20)).fit(twice)


def literals(path):
    """Line and text of each string in a module that is no docstring."""
    tree = ast.parse(path.read_text())
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.lineno, node.value


@pytest.mark.parametrize("folder", ["numerics", "blocks", "selection", "methods", "estimators"])
def test_nothing_that_an_estimator_reaches_writes_a_key_itself(folder):
    exempt = {"cluster.py"}  # the Dask engine of flows, which estimators never start
    found = [
        f"{path.name}:{line} {key}"
        for path in sorted((ROOT / "landmark_ops" / folder).rglob("*.py"))
        if path.name not in exempt
        for line, text in literals(path)
        for key in KEYS & set(re.findall(r"[a-z]+\.[a-z_]+", text))
    ]
    assert not found, found


def test_flows_do_not_speak_of_parameters_of_estimators():
    found = [
        f"{path.name}:{line}"
        for path in sorted((ROOT / "flows").rglob("*.py"))
        for line, text in literals(path)
        if re.search(r"\bn_landmarks\b|\brandom_state\b", text)
    ]
    assert not found, found
