"""The `landmarks` command: what it prints where, its exit codes, and how little it imports to answer."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

import landmark_ops
from flows.cli.app import app
from tests.flows.running import (
    attributes,
    command,
    environment,
    make_config,
    points,
    run_embed,
    write_npy,
    write_zarr,
)

pytestmark = pytest.mark.usefixtures("bare_report", "signals")

X = points()


def run(*arguments: Path | str) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def run_process(*arguments: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), env=environment(), capture_output=True, text=True, timeout=120)


def write_config(folder: Path, config: dict[str, Any]) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr"))


# --- start-up


@pytest.mark.parametrize("arguments", [["--help"], ["embed", "--help"], ["plan", "--help"], ["inspect", "--help"]])
def test_help(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert result.stderr == ""


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from flows.cli.app import app; app(['--help'], standalone_mode=False); "
        "heavy = {'prefect', 'dask', 'distributed', 'numpy', 'scipy', 'zarr', 'pydantic', 'matplotlib'}; "
        "print('imported:', *sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1] == "imported:"


def test_help_answers_at_once() -> None:
    """Budget 0.7 s; the best of three, since this machine may be busy."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        run_process("--help")
        times.append(time.perf_counter() - began)
    assert min(times) < 0.7


def test_version() -> None:
    assert run("version").stdout == f"{landmark_ops.__version__}\n"


def test_no_arguments_show_the_help() -> None:
    result = run()
    assert result.exit_code == 2
    assert "Usage:" in result.output


# --- embed


def test_embed_prints_the_result_and_progress_apart(config: Path) -> None:
    out = config.parent / "out.zarr"
    result = run("embed", config)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"embedding  {out}  (400 × 3)",
        f"report     {out.with_suffix('.report')}/index.html",
    ]
    lines = result.stderr.splitlines()
    names = ["open", "select", "solve", "extend", "quality", "report"]
    assert [line.split()[0] for line in lines] == names
    for name, line in zip(names, lines, strict=True):
        assert re.fullmatch(rf"{name:<9} done in \S+ s(, 400 rows, [\d,]+ rows/s)?", line)
    again = run("embed", config, "--quiet")
    assert again.exit_code == 0
    assert again.stderr == ""
    assert again.stdout.splitlines() == [
        "already complete, nothing to do: the source and the configuration are unchanged",
        "chunks     all there with their sizes, content not checked (landmarks verify)",
        *result.stdout.splitlines(),
    ]


def test_quiet_prints_only_the_result(config: Path) -> None:
    result = run("embed", config, "-q")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["embedding", "report"]


def test_set_changes_values_of_the_config(config: Path) -> None:
    out = config.parent / "other.zarr"
    options = ("--set", "method.n_components=2", "--set", "landmarks.seed=5", "--set", f"output.uri={out}")
    result = run("embed", config, "-q", *options)
    assert result.exit_code == 0
    assert "(400 × 2)" in result.stdout
    assert attributes(out)["seed"] == 5
    assert attributes(out)["parameters"]["n_components"] == 2
    assert not (config.parent / "out.zarr").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("landmarks.cuont=5", "landmarks.cuont is no known key: did you mean count?"),
        ("landmarks.count", "--set landmarks.count: write it as key.path=value"),
        ("landmarks.count=none", "landmarks.count: "),
        ("method.name=landmark_msd", "method.name: 'landmark_msd' is unknown: did you mean landmark_mds?"),
    ],
)
def test_set_refuses_mistakes(config: Path, override: str, message: str) -> None:
    result = run("embed", config, "--set", override)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert message in line


def test_bad_rows_are_said(tmp_path: Path) -> None:
    bad = X.copy()
    bad[7, 0] = np.nan
    settings = make_config(write_npy(tmp_path / "x.npy", bad), tmp_path / "out.zarr")
    settings["source"]["bad_rows"] = "mark"
    result = run("embed", write_config(tmp_path, settings), "-q")
    assert "bad rows   1 have NaN coordinates" in result.stdout.splitlines()


def test_a_missing_config(tmp_path: Path) -> None:
    result = run("embed", tmp_path / "nowhere.yaml")
    assert result.exit_code == 2
    assert result.stderr == f"landmarks: config {tmp_path}/nowhere.yaml: cannot be read: No such file or directory\n"


def test_a_failure_while_running_exits_with_1(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise landmark_ops.RunError("out.zarr: the disk is on fire: pour water")

    monkeypatch.setattr("landmark_ops.solver.asks.sum_over", fail)
    result = run("embed", config, "-q", "--set", "method.align=true")
    assert result.exit_code == 1
    assert result.stderr == "landmarks: out.zarr: the disk is on fire: pour water\n"


def test_out_of_memory_exits_with_1(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("flows.embed.selection.select", fail)
    result = run("embed", config, "-q")
    assert result.exit_code == 1
    assert result.stderr.startswith("landmarks: out of memory: ")


def test_an_interruption_exits_with_130(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.embed.selection.select", fail)
    result = run("embed", config, "-q")
    assert result.exit_code == 130
    (line,) = result.stderr.splitlines()
    assert line.startswith("landmarks: interrupted: ")


@pytest.mark.slow
def test_the_process_itself_stays_quiet(tmp_path: Path) -> None:
    """A mistake found on a worker: Dask and Prefect, whose logs hold data and tracebacks, print nothing."""
    bad = X.copy()
    bad[7, 0] = np.inf
    settings = make_config(write_npy(tmp_path / "x.npy", bad), tmp_path / "out.zarr")
    settings["landmarks"] = {"strategy": "given", "indices": list(range(10, 30))}
    result = run_process("embed", write_config(tmp_path, settings), "--quiet")
    assert result.stderr == (
        f"landmarks: {tmp_path}/x.npy: 1 of 400 rows hold NaN or Inf, the first is row 7: clean the source, or set "
        "source.bad_rows: mark to give such rows NaN coordinates\n"
    )
    assert result.stdout == ""
    assert result.returncode == 2


def test_a_mistake_is_answered_without_waiting_for_prefect(tmp_path: Path) -> None:
    """With no server running: one is started beside the checks, and stopped again."""
    path = write_config(tmp_path, make_config(str(tmp_path / "no.npy"), tmp_path / "out.zarr"))
    changed = environment(PREFECT_API_URL="", PREFECT_HOME=str(tmp_path / "prefect"))
    began = time.perf_counter()
    result = subprocess.run(command("embed", path), env=changed, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2
    assert "no.npy: nothing is there" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert time.perf_counter() - began < 8


# --- plan and inspect


def test_plan_says_what_would_be_done(config: Path) -> None:
    result = run("plan", config)
    assert result.exit_code == 0
    first, *lines = result.stdout.splitlines()
    assert first == f"{config.parent}/x.npy: 400 rows of 6 float32"
    patterns = {
        "rows": "400 of 6 features",
        "landmarks": "30 → 3 components",
        "tasks": "1 per pass, 400 rows each",
        "read": r"[\d.]+ KiB decoded, in 2 passes",
        "write": r"6\.2 KiB",
        "peak memory per worker": r"\d+ MiB",
        "peak memory of flow": r"\d+ MiB",
        "peak memory of server": r"\d+ MiB, where a temporary Prefect server is started",
        "workers": r"2 with [\d.]+ GiB each",
        "expected": r"about [\d.]+ s over the rows, and some \d+ s to start, measure and report",
    }
    assert [line[:24].strip() for line in lines] == [*patterns]
    for line, pattern in zip(lines, patterns.values(), strict=True):
        assert re.fullmatch(pattern, line[24:]), line
    assert sorted(path.name for path in config.parent.iterdir()) == ["config.yaml", "x.npy"]


def test_plan_of_a_finished_run(config: Path) -> None:
    run_embed(yaml.safe_load(config.read_text()))
    assert f"{config.parent}/out.zarr: already complete" in run("plan", config).stdout.splitlines()


def test_plan_refuses_what_cannot_fit(config: Path) -> None:
    result = run("plan", config, "--set", "cluster.memory=64MiB")
    assert result.exit_code == 2
    assert "it has 64.0 MiB: raise cluster.memory" in result.stderr


@pytest.mark.parametrize("name", ["landmark_mds", "nystroem", "nystroem_kernel_pca"])
def test_plan_of_each_method(config: Path, name: str) -> None:
    result = run("plan", config, "--set", f"method.name={name}")
    assert result.exit_code == 0
    assert ("in 3 passes" in result.stdout) == (name == "nystroem_kernel_pca")


def test_inspect_a_source(tmp_path: Path) -> None:
    source = write_zarr(tmp_path / "x.zarr", X.reshape(400, 3, 2), (100, 3, 2))
    result = run("inspect", source, "--array", "rows")
    assert result.exit_code == 0
    assert result.stdout == f"{source}/rows: 400 rows of 3 x 2 float32 (flattened to 6 features)\n"
    assert run("inspect", source).stdout == result.stdout


def test_inspect_an_embedding(config: Path) -> None:
    run_embed(yaml.safe_load(config.read_text()))
    out = config.parent / "out.zarr"
    lines = run("inspect", out).stdout.splitlines()
    assert lines[0] == f"{out}: embedding by landmark_mds, complete"
    assert lines[1] == f"source  {config.parent}/x.npy [400, 6]"
    assert re.fullmatch(r"stress  0\.\d{4} ± 0\.\d{4}", lines[2])
    assert [line.split("  ")[0] for line in lines[2:]] == [
        "stress",
        "residual variance",
        "trustworthiness",
        "continuity",
        "recall",
        "chunks",
    ]
    assert lines[-1] == f"chunks  all 1 there with their sizes, content not checked: landmarks verify {out}"


def test_inspect_nothing(tmp_path: Path) -> None:
    result = run("inspect", tmp_path / "no.zarr")
    assert result.exit_code == 2
    assert "no.zarr: nothing is there" in result.stderr
