"""Every way of docs/scheduling.md, on a real Prefect server: what a schedule, a form, a retry and a cancellation do."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.types.entrypoint import EntrypointType

from tests.flows.detecting_data import TinyModels, detect_config, make_models, rows, write_folder
from tests.flows.interrupting import committed, interrupt
from tests.flows.running import (
    REPO,
    attributes,
    copy_of_database,
    environment,
    make_config,
    points,
    run_embed,
    write_npy,
)
from tests.flows.test_parameters import filled

pytestmark = pytest.mark.slow

PATIENCE = 60  # seconds: for a machine with more to do

# As docs/scheduling.md has it, but for the lines that make tasks small, many and slow enough to be interrupted.
SERVE = """
import json, sys, time
import flows.base.machine, landmark_ops.passes.ranges, landmark_ops.stores.embeddings.records
from flows.embed import embed
from flows.base.progress import Progress

flows.base.machine.IN_PROCESS_BYTES = 20_000
landmark_ops.passes.ranges.TASK_BYTES = 1 << 10
landmark_ops.stores.embeddings.records.FLUSH_SECONDS = 0.1
plain = Progress.advance
Progress.advance = lambda self, n: (time.sleep(0.2 if self.total and self.total > 1000 else 0), plain(self, n))[1]

if __name__ == "__main__":
    embed.with_options(retries=1, retry_delay_seconds=1).serve(
        name="nightly", interval=2, limit=1, parameters=json.load(open(sys.argv[1]))
    )
"""


class Server:
    """A Prefect server, by its API."""

    def __init__(self, url: str, environment: dict[str, str]) -> None:
        self.url, self.environment = url, environment
        self.http = httpx.Client(base_url=url, timeout=30)

    def post(self, path: str, **body: Any) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def deployment(self, name: str) -> dict[str, Any]:
        """What is on record of `flow/deployment`, once it is there."""
        self.until(lambda: self.http.get(f"/deployments/name/{name}").status_code == 200)
        found: dict[str, Any] = self.http.get(f"/deployments/name/{name}").json()
        return found

    def run_as_a_form(self, name: str, config: dict[str, Any]) -> str:
        """Start a run as the form does: every default filled in, values without fields of their own as JSON text."""
        deployment = self.deployment(name)
        schema = deployment["parameter_openapi_schema"]
        parameters = filled({"config": config}, schema, schema["definitions"])
        detector = parameters["config"].get("detector")
        if detector is not None:
            detector["thresholds"] = {"__prefect_kind": "json", "value": json.dumps(detector["thresholds"])}
        run = self.post(f"/deployments/{deployment['id']}/create_flow_run", parameters=parameters)
        return str(run["id"])

    def state(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/flow_runs/{run}").json()["state"]
        return found

    def ends(self, run: str, name: str) -> dict[str, Any]:
        """The final state of a run, which must be `name`."""
        self.until(lambda: self.state(run)["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"), run)
        state = self.state(run)
        assert state["name"] == name, state["message"]
        return state

    def until(self, true: Callable[[], Any], run: str | None = None) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, self.state(run) if run else "too late"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def server(prefect_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`prefect server start`, with the services that schedule runs; the database is prepared already."""
    folder = tmp_path_factory.mktemp("real")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    changes = {
        "PREFECT_HOME": copy_of_database(prefect_home, folder / "home"),
        "PREFECT_API_URL": url,
        "TMPDIR": str(folder),
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "LANDMARKS_MODEL_SPECS": str(make_models(folder / "models").specs),
        "LANDMARKS_MODEL_CACHE": str(folder / "cache"),
    }
    command = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with background(command, environment(**changes)):
        server = Server(url, environment(**changes))
        server.until(lambda: answers(url))
        yield server
        server.http.close()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


class background:
    """A Python process while the context lasts, and all its children."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.command, self.environment = command, environment

    def __enter__(self) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(
            [sys.executable, *self.command],
            env=self.environment,
            cwd=REPO,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self.process

    def __exit__(self, *error: object) -> None:
        family = descendants(self.process.pid)
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for member in family:
            if member.is_running():
                member.kill()


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def test_served_flows(server: Server, tmp_path: Path) -> None:
    """A schedule fires by itself; a failed run is tried again and resumes; a cancelled one stops and can be resumed."""
    config = make_config(write_npy(tmp_path / "x.npy", points(60)), tmp_path / "out.zarr", output={"overwrite": True})
    config["method"] = {"n_components": 3}  # no name
    (tmp_path / "parameters.json").write_text(json.dumps({"config": config}))
    (tmp_path / "serve.py").write_text(SERVE)
    with background([str(tmp_path / "serve.py"), str(tmp_path / "parameters.json")], server.environment) as runner:
        deployment = server.deployment("embed/nightly")
        server.until(lambda: done_runs(server, deployment["id"]))
        [run, *_] = done_runs(server, deployment["id"])
        assert run["auto_scheduled"], "the schedule has not started it"
        assert attributes(tmp_path / "out.zarr")["status"] == "complete"
        schedule = f"/deployments/{deployment['id']}/schedules/{deployment['schedules'][0]['id']}"
        server.http.patch(schedule, json={"active": False}).raise_for_status()
        retried(server, tmp_path)
        cancelled(server, tmp_path, runner.pid)
    storage = Path(server.environment["PREFECT_HOME"]) / "storage"
    assert not storage.exists() or not list(storage.iterdir()), "exceptions or results are kept as pickles"


def done_runs(server: Server, deployment: str) -> list[Any]:
    found = server.post("/flow_runs/filter", flow_runs={"deployment_id": {"any_": [deployment]}}, sort="END_TIME_DESC")
    ended = [run for run in found if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED")]
    for run in ended:
        assert run["state_type"] == "COMPLETED", run["state"]["message"]
    return ended


def retried(server: Server, tmp_path: Path) -> None:
    """The output belongs to another run at first: a failure. At the second try it is free, and the run goes on."""
    from landmark_ops.stores.lock import OutputLock

    config = make_config(write_npy(tmp_path / "y.npy", points()), tmp_path / "retried.zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("landmark_ops.passes.ranges.TASK_BYTES", 1 << 10)
        interrupt(config)
    before = committed(tmp_path / "retried.zarr")
    with OutputLock(str(tmp_path / "retried.zarr")):
        run = server.run_as_a_form("embed/nightly", config)
        server.until(lambda: server.state(run)["name"] == "AwaitingRetry", run)
    server.ends(run, "Completed")
    assert server.http.get(f"/flow_runs/{run}").json()["run_count"] == 2
    assert before >= 1
    tasks = server.post("/task_runs/filter", task_runs={"flow_run_id": {"any_": [run]}})
    names = {task["name"].partition("-")[0] for task in tasks}
    assert "verify" in names, names  # committed chunks are compared, not computed again
    assert "select" not in names, names
    assert attributes(tmp_path / "retried.zarr")["status"] == "complete"


def cancelled(server: Server, tmp_path: Path, runner: int) -> None:
    """Nothing of the run is left running, its output is free, and another run goes on from there."""
    config = make_config(write_npy(tmp_path / "z.npy", points(2000)), tmp_path / "stopped.zarr")
    run = server.run_as_a_form("embed/nightly", config)
    server.until(lambda: committed(tmp_path / "stopped.zarr") >= 3)
    family = descendants(runner)
    assert sum("spawn_main" in " ".join(member.cmdline()) for member in family) >= 3  # the run, and two workers
    server.post(f"/flow_runs/{run}/set_state", state={"type": "CANCELLING"})
    server.ends(run, "Cancelled")
    _, alive = psutil.wait_procs([one for one in family if "spawn_main" in cmdline(one)], timeout=20)
    assert not alive
    assert not Path(f"{tmp_path / 'stopped.zarr'}.lock").exists()
    kept = committed(tmp_path / "stopped.zarr")
    assert kept >= 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("landmark_ops.passes.ranges.TASK_BYTES", 1 << 10)
        assert run_embed(config)["outcome"] == "resumed"


def cmdline(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_worker_of_a_pool(server: Server, tmp_path: Path) -> None:
    """Deployed from source, and as the module that is installed; started by forms, run by `prefect worker start`."""
    from flows.compare.flow import compare
    from flows.detect.flow import detect

    models = TinyModels(Path(server.environment["LANDMARKS_MODEL_SPECS"]), "", "", {})
    pipeline = str(models.specs.parent / "lights.yaml")
    lights = detect_config(write_folder(tmp_path / "pictures", range(6)), tmp_path / "lake", pipeline)
    lights["detector"]["thresholds"] = {"score": 0.3}
    plain = make_config(write_npy(tmp_path / "x.npy", points()), tmp_path / "out.zarr")
    plain["compare"] = {"counts": [10], "repeats": 1, "strategies": ["uniform", "maxmin"]}
    command = ["-m", "prefect", "worker", "start", "--pool", "machines", "--type", "process", "--name", "one"]
    with background(command, server.environment), temporary_settings({PREFECT_API_URL: server.url}):
        server.until(lambda: server.http.get("/work_pools/machines").status_code == 200)
        source = detect.from_source(source=str(REPO), entrypoint="flows/detect/flow.py:detect")
        source.deploy(name="lake", work_pool_name="machines", parameters={"config": lights}, print_next_steps=False)
        deployment = compare.to_deployment(
            "weekly", work_pool_name="machines", entrypoint_type=EntrypointType.MODULE_PATH
        )
        deployment.apply()
        detection = server.run_as_a_form("detect/lake", lights)
        comparison = server.run_as_a_form("compare/weekly", plain)
        server.ends(detection, "Completed")
        server.ends(comparison, "Completed")
    assert len(rows(tmp_path / "lake", "images")) == 6
    assert np.isfinite([row["score"] for row in rows(tmp_path / "lake")]).all()
    assert (tmp_path / "out.compare" / "index.html").exists()
