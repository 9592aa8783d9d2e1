"""`landmarks compare`: the numbers against their definitions, refusals that stop nothing, mistakes answered at once."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from landmark_ops import InputError, RunError, select_landmarks
from landmark_ops.configs.embed import CompareConfig, parse_config_as
from tests.flows.running import make_config, points, write_npy

X = points(n=500, d=4, rank=4)


def configure(tmp_path: Path, method: dict[str, Any], **compare: Any) -> dict[str, Any]:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    return config | {"method": method, "compare": {"counts": [10, 40], "repeats": 2, **compare}}


def run_compare(config: dict[str, Any]) -> dict[str, Any]:
    from flows.compare.flow import compare

    return dict(compare(CompareConfig.model_validate(config)))


def read(tmp_path: Path) -> dict[str, Any]:
    return dict(json.loads((tmp_path / "out.compare" / "compare.json").read_text()))


KERNEL = {"name": "nystroem", "gamma": 0.02}


def test_kernel_errors_are_the_trace_errors_of_the_landmarks(tmp_path: Path) -> None:
    strategies = ["uniform", "maxmin", "kmeans", "leverage", "bless", "rpcholesky", "greedy", "active"]
    result = run_compare(configure(tmp_path, KERNEL, strategies=strategies))
    found = read(tmp_path)
    trials = {(one["strategy"], one["count"], one["seed"]): one for one in found["trials"]}
    assert len(trials) == len(strategies) * 2 * 2
    assert not any(one["refused"] for one in found["trials"])
    for m, seed in ((10, 0), (40, 1)):  # by definition, for landmarks chosen the same way
        Z = select_landmarks(X, m, "uniform", random_state=seed).points
        C, W = rbf_kernel(X, Z, gamma=0.02), rbf_kernel(Z.astype(float), gamma=0.02)
        explained = np.einsum("ij,jk,ik->", C, np.linalg.pinv(W, rcond=1e-6, hermitian=True), C)
        assert trials["uniform", m, seed]["error"] == pytest.approx(1 - explained / len(X), rel=1e-3)
    for name in strategies:
        few, many = (cell["median"] for cell in found["cells"] if cell["strategy"] == name)
        assert 0 <= many < few < 1
    by_name = {cell["strategy"]: cell["median"] for cell in found["cells"] if cell["landmarks"] == 40}
    assert by_name["rpcholesky"] < by_name["uniform"]
    lines = result["lines"]
    assert lines[0].startswith("relative trace error by number of landmarks m, median over seeds, * least")
    assert sum("*" in line for line in lines[1:]) >= 1


def test_the_page_picture_and_table_lie_beside_the_output(tmp_path: Path) -> None:
    result = run_compare(configure(tmp_path, KERNEL, strategies=["uniform", "rpcholesky"]))
    place = tmp_path / "out.compare"
    assert result["page"] == str(place / "index.html")
    assert sorted(path.name for path in place.iterdir()) == ["compare.csv", "compare.json", "error.png", "index.html"]
    assert (place / "error.png").read_bytes().startswith(b"\x89PNG")
    page = (place / "index.html").read_text()
    assert "rpcholesky" in page
    assert "<script" not in page
    table = list(csv.DictReader((place / "compare.csv").read_text().splitlines()))
    assert [(row["strategy"], row["landmarks"], row["seed"]) for row in table][:2] == [
        ("uniform", "10", "0"),
        ("uniform", "10", "1"),
    ]
    assert not (tmp_path / "out.zarr").exists()


def test_distances_are_judged_by_the_unexplained_share(tmp_path: Path) -> None:
    run_compare(configure(tmp_path, {"n_components": 2}, strategies=["uniform", "maxmin", "active"]))
    found = read(tmp_path)
    centred = X - X.mean(axis=0, dtype=float)
    spectrum = np.linalg.svd(centred, compute_uv=False) ** 2
    least = spectrum[2:].sum() / spectrum.sum()
    assert found["floor"]["error"] == pytest.approx(least, rel=1e-5)
    for cell in found["cells"]:
        assert cell["low"] > least * 0.99


def test_a_strategy_that_refuses_is_a_line_and_stops_nothing(tmp_path: Path) -> None:
    method = {"n_components": 2, "metric": "hamming"}
    integers = np.random.default_rng(0).integers(0, 3, (300, 6)).astype(np.float32)
    config = configure(tmp_path, method, strategies=["kmeans", "uniform"])
    write_npy(tmp_path / "x.npy", integers)
    result = run_compare(config)
    refused = [one for one in read(tmp_path)["trials"] if one["refused"]]
    assert {one["strategy"] for one in refused} == {"kmeans"}
    assert "has no meaningful mean of rows" in refused[0]["refused"]
    assert any(line.startswith("kmeans refused at every m: ") for line in result["lines"])


def test_where_all_refuse_the_first_reason_is_told(tmp_path: Path) -> None:
    config = configure(tmp_path, {"n_components": 2, "metric": "hamming"}, strategies=["kmeans"])
    with pytest.raises(InputError, match=r"compare: no strategy could choose landmarks here, kmeans because: .*mean"):
        run_compare(config)


def test_a_kernel_that_is_not_positive_semidefinite_has_no_trace_error(tmp_path: Path) -> None:
    method = {"name": "nystroem", "kernel": "sigmoid", "gamma": 3.0, "coef0": -1.0}
    with pytest.raises(InputError, match=r"uniform because: kernel sigmoid is not positive semidefinite .* negative\)"):
        run_compare(configure(tmp_path, method, strategies=["uniform"]))


@pytest.mark.parametrize(
    ("method", "compare", "match"),
    [
        ({"name": "landmark_isomap"}, {}, r"method landmark_isomap: compare measures what landmarks leave of a kernel"),
        ({"metric": "precomputed"}, {}, r"method landmark_mds on precomputed blocks"),
        (KERNEL, {"counts": [10, 501]}, r"compare\.counts: 501 exceeds the 500 rows"),
    ],
)
def test_what_cannot_be_compared(tmp_path: Path, method: dict[str, Any], compare: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        run_compare(configure(tmp_path, method, **compare))
    assert not (tmp_path / "out.compare").exists()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("compare: {counts: [10, 10]}", r"config: compare: counts: 10 is named more than once"),
        ("compare: {strategies: [given]}", r"config: compare: strategies: given has landmarks of its own"),
        ("compare: {repeat: 3}", r"config: compare\.repeat is no known key: did you mean repeats\?"),
        ("map: c.zarr", r"config: map: landmarks are compared for a method: give method instead"),
        ("methods: [{n_components: 2}]", r"config: methods: landmarks are compared for one method at a time"),
    ],
)
def test_mistakes_in_the_config(text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        parse_config_as(CompareConfig, f"source: {{uri: a.npy}}\noutput: {{uri: b.zarr}}\n{text}")


def test_rows_with_nan_are_counted(tmp_path: Path) -> None:
    config = configure(tmp_path, KERNEL, strategies=["uniform"])
    bad = X.copy()
    bad[[3, 9], 0] = np.nan
    write_npy(tmp_path / "x.npy", bad)
    with pytest.raises(InputError, match=r"2 of 500 rows .* the first is row 3"):
        run_compare(config)
    config["source"]["bad_rows"] = "mark"
    run_compare(config)
    assert all(one["error"] is not None for one in read(tmp_path)["trials"])


def test_a_source_rewritten_under_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with its size and times as before, as `rsync --times` leaves them."""
    from flows.compare import flow as compare

    config = configure(tmp_path, KERNEL, strategies=["uniform"])
    source, plain = tmp_path / "x.npy", compare.try_stage

    def rewrite(*arguments: Any) -> Any:
        found, before = plain(*arguments), source.stat()
        write_npy(source, X[::-1])
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
        return found

    monkeypatch.setattr(compare, "try_stage", rewrite)
    with pytest.raises(RunError, match=r"x\.npy: changed while it was read: run again"):
        run_compare(config)
    assert not (tmp_path / "out.compare").exists()
