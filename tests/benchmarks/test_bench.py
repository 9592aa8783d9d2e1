"""Every benchmark runs, at tiny sizes, and returns what the table and the JSON need. No number is checked."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import data, machine, peer_venv, run, scaling_picture
from benchmarks.result import Budget, Line, Result, format_table, number
from landmark_ops.stores.sources.source import open_rows

SLOW = ("small", "detection", "tables", "isomap", "methods_scaling")
MIRROR = "LANDMARKS_MODEL_MIRROR"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in run.NAMES]
)
def test_quick_form_measures_positive_numbers(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "detection" and MIRROR not in os.environ:
        monkeypatch.setenv(MIRROR, str(request.getfixturevalue("shared") / "models"))
    [result] = run.run_all([name], quick=True)
    assert result.name == name
    assert result.lines
    for line in result.lines:
        assert math.isfinite(line.value), line
        assert line.value > 0, line
        assert (line.verdict == "") == (line.budget is None)
    assert result.seconds > 0
    assert result.raw
    json.dumps(result.as_json(), allow_nan=False)


def test_without_models_detection_is_skipped_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MIRROR, raising=False)
    monkeypatch.setenv("LANDMARKS_MODEL_CACHE", str(tmp_path))
    results = run.run_all(["detection"], quick=True)
    assert results[0].lines == []
    assert "model yunet-n is not on this machine: landmarks models pull yunet-n" in format_table(results)


def test_a_quick_run_prints_a_table_and_writes_json_only_where_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = set(run.RESULTS.glob("*")) if run.RESULTS.exists() else set()
    run.main(["gemm", "--quick"])
    assert "float32 GEMM" in capsys.readouterr().out
    assert kept == (set(run.RESULTS.glob("*")) if run.RESULTS.exists() else set())

    run.main(["gemm", "--quick", "--results", str(tmp_path)])
    [written] = tmp_path.iterdir()
    assert written.stem.endswith("-quick")
    report = json.loads(written.read_text())
    assert report["results"][0]["lines"][0]["unit"] == "GFLOP/s"
    assert report["machine"]["cores"] >= 1


def test_an_unknown_name_is_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["gemms"])
    assert "no benchmark is called gemms" in capsys.readouterr().err


def test_the_machine_is_described_without_host_or_paths() -> None:
    described = json.dumps(machine.describe())
    assert str(Path.home()) not in described
    assert str(machine.ROOT) not in described
    assert machine.platform.node() not in described


def test_generated_rows_do_not_depend_on_when_they_are_made() -> None:
    both = [data.generated(200, 300, 4, 100) for _ in range(2)]
    assert (both[0] == both[1]).all()
    assert (both[0] != data.generated(0, 100, 4, 100)).any()


def test_patches_are_sampled_from_the_source_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = data.write_generated(tmp_path / "all.zarr", 300, 4, 100)
    monkeypatch.setattr(data, "patches", lambda folder, quick: source)
    assert data.sampled_patches(tmp_path, 300, False) == source
    sampled = data.sampled_patches(tmp_path, 120, False)
    every, found = (open_rows(one.uri, array=one.array) for one in (source, sampled))
    places = [int(np.flatnonzero((every.read(0, 300) == row).all(axis=1))[0]) for row in found.read(0, 120)]
    assert places == sorted(set(places))


def test_a_peer_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script.py"
    monkeypatch.setattr(peer_venv, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(peer_venv, "SCRIPT", script)
    script.write_text(
        "import json, sys\nprint('noise')\nprint(json.dumps({'seconds': json.loads(sys.argv[1])['seed']}))"
    )
    assert peer_venv.dask_ml("rows.npy", None, tmp_path / "labels.npy", seed=3) == 3
    script.write_text("raise ValueError('no such array')")
    with pytest.raises(peer_venv.NoPeer, match="no such array"):
        peer_venv.dask_ml("rows.npy", None, tmp_path / "labels.npy", seed=3)


def test_names_of_lines_that_end_together_are_moved_apart() -> None:
    moved = scaling_picture.apart([0.5, 0.1, 0.5])
    assert moved[2] - moved[0] == pytest.approx(scaling_picture.GAP)
    assert moved[1] < moved[0]
    lines = {name: [scaling_picture.Point(n, n / 1e3, 200) for n in (1000, 10_000)] for name in ("one", "other")}
    picture = scaling_picture.draw(lines, ["a note", "another"])
    assert picture == scaling_picture.draw(lines, ["a note", "another"])
    assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("budget", "value", "text", "verdict"),
    [
        (Budget(high=2.0), 1.0, "≤ 2", "ok"),
        (Budget(high=2.0), 3.0, "≤ 2", "over by 50.0%"),
        (Budget(low=0.6), 0.3, "≥ 0.6", "short by 50.0%"),
        (Budget(0.95, 1.05), 1.0, "0.95 … 1.05", "ok"),
        (Budget(0.5, 1.05), 0.25, "0.5 … 1.05", "short by 50.0%"),
    ],
)
def test_budgets_say_by_how_much_they_are_missed(budget: Budget, value: float, text: str, verdict: str) -> None:
    assert budget.describe() == text
    assert budget.verdict(value) == verdict


def test_the_table_is_aligned() -> None:
    lines = [Line("short", 1234.5, "rows/s"), Line("a longer name", 0.5, "", Budget(high=1), "why")]
    table = format_table([Result("x", "Title", lines)]).splitlines()
    assert table[2].startswith("Title")
    assert table[3].index("rows/s") + len("rows/s") == table[4].index("0.5") + len("0.5")
    assert table[4].endswith("≤ 1  ok  why")


@pytest.mark.parametrize(
    ("value", "text"), [(123456.7, "123,457"), (99.94, "99.9"), (1.234, "1.23"), (0.00012, "1.2e-04"), (0.0, "0")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text
