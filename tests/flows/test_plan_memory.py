"""The memory that `landmarks plan` states, against what real runs took; a machine that is too small."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest
import yaml
from typer.testing import CliRunner

from flows.base import machine
from flows.cli.app import app
from flows.embed import plan as planning
from flows.embed.plan import SERVER_BYTES, Plan, make_plan
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.stores.sources.source import open_rows
from tests.flows.running import command, copy_of_database, environment, make_config, points, write_npy, write_zarr

PROCESSES = "import flows.base.machine; flows.base.machine.IN_PROCESS_BYTES = 0"  # as large sources have them


class Peaks(NamedTuple):
    """Bytes: VmHWM of each process of one run, the largest of its workers'."""

    flow: int
    server: int
    worker: int


def high_water(pid: int) -> int:
    """Peak resident bytes of a process so far; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)


def kind_of(process: psutil.Process, flow: int) -> str | None:
    """`flow`, `server`, `worker`, or None for helpers of Python's and what is gone."""
    if process.pid == flow:
        return "flow"
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return None
    return "server" if "flows.base.server" in line else "worker" if "spawn_main" in line else None


def watched(config: Path, home: str, setup: str = "") -> Peaks:
    """The peaks of `landmarks embed CONFIG`, with a Prefect server of its own."""
    peaks = dict.fromkeys(Peaks._fields, 0)
    changed = environment(PREFECT_API_URL="", PREFECT_HOME=home)
    with subprocess.Popen(
        command("embed", config, "-q", setup=setup), env=changed, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        family = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                members = [family, *family.children(recursive=True)]
            except psutil.Error:
                break
            for member in members:
                if kind := kind_of(member, process.pid):
                    peaks[kind] = max(peaks[kind], high_water(member.pid))
            time.sleep(0.03)
        assert process.stderr is not None
        assert not (message := process.stderr.read()), message.decode()
        assert process.wait() == 0
    return Peaks(**peaks)


def plan_of(config: dict[str, Any]) -> Plan:
    checked = EmbedConfig.model_validate(config)
    return make_plan(checked, open_rows(checked.source.uri, array=checked.source.array))


def check(stated: int, measured: int) -> None:
    assert 0.95 * measured <= stated <= 2 * measured, f"stated {stated >> 20} MiB, measured {measured >> 20} MiB"


@pytest.mark.slow
def test_plan_states_what_threads_take(tmp_path: Path, prefect_home: Path) -> None:
    """By isomap, whose graph the flow holds."""
    source = write_npy(tmp_path / "x.npy", points(4000, 16))
    config = make_config(
        source,
        tmp_path / "out.zarr",
        landmarks={"count": 300},
        method={"name": "landmark_isomap"},
        report={"sample": 2000},
    )
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    peaks = watched(path, copy_of_database(prefect_home, tmp_path / "home"))
    assert peaks.worker == 0
    check(plan_of(config).flow_bytes, peaks.flow)
    check(SERVER_BYTES, peaks.server)


@pytest.mark.slow
def test_plan_states_what_processes_take(tmp_path: Path, prefect_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a method that holds squares of the landmarks, over chunks that are decoded whole."""
    monkeypatch.setattr(machine, "IN_PROCESS_BYTES", 0)
    source = write_zarr(tmp_path / "x.zarr", points(40_000, 128), (20_000, 128))
    config = make_config(
        source,
        tmp_path / "out.zarr",
        source={"array": "rows"},
        landmarks={"count": 1500},
        method={"name": "nystroem_kernel_pca"},
    )
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    peaks = watched(path, copy_of_database(prefect_home, tmp_path / "home"), PROCESSES)
    plan = plan_of(config)
    # Only from below: which of two workers holds how many chunks at a time goes by the load of the machine.
    assert plan.peak_bytes >= 0.95 * peaks.worker > 0
    check(plan.flow_bytes, peaks.flow)
    check(SERVER_BYTES, peaks.server)


@pytest.mark.parametrize(("processes", "count"), [(True, 1), (True, 4), (False, 1), (False, 2)])
@pytest.mark.parametrize("command", ["plan", "embed"])
def test_a_machine_that_is_too_small_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: bool, count: int, command: str
) -> None:
    """Just large enough is not refused; a byte less is, with the three numbers and what helps."""
    if processes:
        monkeypatch.setattr(machine, "IN_PROCESS_BYTES", 0)
    config = make_config(write_npy(tmp_path / "x.npy", points()), tmp_path / "out.zarr")
    config["cluster"] = {"workers": count, "memory": "2GiB"}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    plan = plan_of(config)
    need = plan.total_bytes(count)
    assert need == plan.flow_bytes + SERVER_BYTES + processes * count * plan.peak_bytes
    monkeypatch.setattr(planning, "machine_memory", lambda: need)
    assert CliRunner().invoke(app, ["plan", str(path)]).exit_code == 0
    monkeypatch.setattr(planning, "machine_memory", lambda: need - 1)
    result = CliRunner().invoke(app, [command, str(path)])
    assert result.exit_code == 2
    line = result.stderr.splitlines()[-1]  # after those of the progress
    each = plan.peak_bytes if processes else plan.task_bytes
    numbers = [planning.size(one) for one in (each, plan.flow_bytes, SERVER_BYTES, need)]
    remedy = f"set cluster.workers: {count - 1}" if count > 1 else "set a smaller landmarks.count"
    for part in (*numbers, remedy):
        assert part in line
    assert not (tmp_path / "out.zarr").exists()


def test_a_machine_holds_the_workers_that_the_remedy_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "IN_PROCESS_BYTES", 0)
    config = make_config(write_npy(tmp_path / "x.npy", np.ones((10, 2), np.float32)), tmp_path / "out.zarr")
    config["landmarks"] = {"count": 5}
    plan = plan_of(config)
    for memory in range(plan.total_bytes(1), plan.total_bytes(9), plan.peak_bytes // 3):
        with pytest.raises(planning.InputError, match=r"set cluster\.workers: \d+$") as found:
            planning.check_machine(plan, 9, memory)
        fit = int(str(found.value).rpartition(" ")[2])
        assert plan.total_bytes(fit) <= memory < plan.total_bytes(fit + 1)
