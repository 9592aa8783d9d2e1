"""The command as a process that is killed or interrupted from outside."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.flows.interrupting import (
    CHUNKS,
    committed,
    config,  # noqa: F401  a fixture
    equal,
    reference,  # noqa: F401  a fixture
    slow_command,
    watching,
)
from tests.flows.running import attributes, run_embed

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")


@pytest.mark.slow
def test_killed_leaves_no_orphans_and_resumes(
    tmp_path: Path,
    config: dict[str, Any],  # noqa: F811
    reference: Path,  # noqa: F811
    prefect_home: Path,
) -> None:
    """SIGKILL: nothing of ours runs any more soon after, neither workers nor the temporary Prefect server."""
    changes = {"PREFECT_HOME": str(prefect_home), "PREFECT_API_URL": "", "TMPDIR": str(tmp_path)}
    with slow_command(tmp_path, config, in_process=0, seconds=0.3, **changes) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        lines = [" ".join(member.cmdline()) for member in family]
        assert any("flows.base.server" in line for line in lines)
        assert sum("spawn_main" in line for line in lines) == 2
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(family, timeout=15)
        assert [member.cmdline() for member in alive] == []
    assert not list(tmp_path.glob("landmark-ops-prefect-*")), "the database of the server is left behind"
    uri = config["output"]["uri"]
    assert attributes(uri)["status"] == "partial"
    assert 2 <= committed(uri) < CHUNKS
    with watching() as seen:
        assert run_embed(config)["outcome"] == "resumed"
    assert len(seen["extend"]) < CHUNKS
    equal(uri, reference)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "in_process"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 1 << 20)],
    ids=["Ctrl-C over worker processes", "SIGTERM over threads"],
)
def test_interrupted_from_outside(
    tmp_path: Path,
    config: dict[str, Any],  # noqa: F811
    reference: Path,  # noqa: F811
    number: int,
    in_process: int,
) -> None:
    """Ctrl-C reaches every process of the terminal's group. One line, exit code 130, and the next run goes on."""
    with slow_command(tmp_path, config, in_process=in_process, seconds=0.6) as process:
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert err == "landmarks: interrupted: what is committed is kept, run the same command again to resume\n"
    assert not Path(f"{config['output']['uri']}.lock").exists()
    with watching() as seen:
        run_embed(config)
    assert len(seen["extend"]) < CHUNKS
    equal(config["output"]["uri"], reference)


@pytest.mark.slow
@pytest.mark.usefixtures("processes")
def test_a_killed_worker_is_replaced(config: dict[str, Any], reference: Path) -> None:  # noqa: F811
    killed: list[int] = []

    def kill(stage: str, count: int) -> None:
        if (stage, count) == ("extend", 3):
            workers = [
                child
                for child in psutil.Process().children(recursive=True)
                if "spawn_main" in " ".join(child.cmdline())
            ]
            workers[0].kill()
            killed.append(workers[0].pid)

    with watching(kill):
        run_embed(config)
    assert killed
    equal(config["output"]["uri"], reference)
