"""Any failure, of user or program: one line on stderr, the right exit code, and no secret in it."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import distributed
import httpx
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from flows.base import loopback
from flows.base.faults import explain
from flows.base.prefect_api import check_api
from flows.cli.app import app
from flows.cli.edges import Edge
from landmark_ops.errors import InputError, RunError
from tests.flows.running import command, environment, make_config, points, write_npy

pytestmark = pytest.mark.usefixtures("signals")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def one_line(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("landmarks: ")
    return lines[0]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(make_config(write_npy(tmp_path / "x.npy", points(60)), tmp_path / "out.zarr")))
    return path


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes `landmarks plan` raise an error."""

    def install(error: BaseException) -> None:
        def fail(*arguments: Any) -> list[str]:
            raise error

        monkeypatch.setattr("flows.cli.plan.describe_plan", fail)

    return install


# --- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["embed"], "Missing argument 'CONFIG.yaml': see `landmarks embed --help`"),
        (["embed", "--foo"], "No such option: --foo: see `landmarks embed --help`"),
        (["nonsense"], "No such command 'nonsense'"),
        (["draw", "x"], "Missing option '--out'"),
        (["draw", "x", "--out", "y", "--sample", "0"], "Invalid value for '--sample'"),
        (["draw", "x", "--out", "y", "--sample", "many"], "Invalid value for '--sample'"),
        (["models", "show"], "Missing argument 'NAME'"),
        (["models", "nonsense"], "No such command 'nonsense'"),
        (["inspect", "a", "b"], "unexpected extra argument"),
        (["plan", "nowhere.yaml"], "config nowhere.yaml: cannot be read: No such file"),
        (["plan", "/"], "config /: cannot be read: Is a directory"),
        (["inspect", ""], "got '' for an address"),
        (["inspect", "a\0b"], "for an address"),
        (["inspect", "ftp://x/y"], "scheme ftp:// is not supported"),
        (["inspect", "/dev/null"], "is neither a file nor a folder"),
        (["draw", "nowhere", "--out", "y"], "holds no tables of a detection run"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str) -> None:
    assert message in one_line(run(*arguments), 2)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_debug_may_stand_anywhere(place: int) -> None:
    arguments = ["plan", "nowhere.yaml"]
    arguments.insert(place, "--debug")
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("landmarks: config nowhere.yaml: cannot be read")
    assert "Traceback" not in run(*arguments[:place], *arguments[place + 1 :]).stderr
    assert "--debug" in run("--help").stdout


# --- unexpected errors


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyError("embedding"), 1, r"plan: failed (KeyError: 'embedding'): this should not happen: add --debug"),
        (RuntimeError("a\nb\n" + "c" * 5000), 1, "plan: failed (RuntimeError: a b ccc"),
        (RuntimeError(), 1, "plan: failed (RuntimeError): this should not happen"),
        (ValueError("at s3://key:hunter22@b/x"), 1, "plan: failed (ValueError: at s3://***@b/x)"),
        (OSError(28, "No space left on device", "/tmp/x"), 1, "plan: /tmp/x: No space left on device: free some space"),
        (FileNotFoundError(2, "No such file or directory", "/tmp/x"), 1, "plan: /tmp/x: is not there"),
        (MemoryError(), 1, "out of memory: lower landmarks.count"),
        (RecursionError("too deep"), 1, "plan: failed (RecursionError: too deep)"),
        (KeyboardInterrupt(), 130, "interrupted: what is committed is kept, run the same command again to resume"),
        (httpx.ConnectError("refused"), 1, "the Prefect API http://***@h/api cannot be reached (refused): start its"),
        (RuntimeError("Failed to reach API at http://h/api"), 1, "the Prefect API http://***@h/api cannot be reached"),
        (
            distributed.comm.CommClosedError("in <TCP>: closed"),
            1,
            "plan: the Dask scheduler was lost (in <TCP>: closed)",
        ),
        (distributed.KilledWorker("t", None, 3), 1, "plan: the workers were lost"),  # type: ignore[arg-type]
    ],
)
def test_unexpected_errors(
    config: Path, failing: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://anna:hunter22@h/api")
    failing(error)
    line = one_line(run("plan", config), code)
    assert message in line
    assert "hunter22" not in line
    assert len(line) < 600
    traceback = run("--debug", "plan", config).stderr
    assert "Traceback" in traceback
    assert "hunter22" not in traceback


def test_the_stage_is_named(config: Path, failing: Any) -> None:
    from flows.base.progress import Progress

    error = KeyError("x")
    with pytest.raises(KeyError), Progress().stage("extend"):
        raise error
    failing(error)
    assert "plan: extend: failed (KeyError" in one_line(run("plan", config), 1)


def test_what_failed_first_is_told(config: Path, failing: Any) -> None:
    try:
        try:
            raise InputError("the source is of no known kind")
        finally:
            raise RunError("the lock cannot be removed")
    except RunError as error:
        failing(error)
    assert one_line(run("plan", config), 2) == "landmarks: the source is of no known kind"


def test_a_mistake_found_late_has_exit_code_2() -> None:
    message, code = explain(OSError(36, "File name too long", "aaa"), "embed: ")
    assert (message, code) == ("embed: aaa: File name too long: choose a shorter one", 2)


# --- streams


def process(*arguments: str, shell: str = "{}", **changes: str) -> subprocess.CompletedProcess[str]:
    quoted = " ".join(f"'{one}'" for one in command(*arguments))
    return subprocess.run(
        ["bash", "-c", shell.format(quoted)], env=environment(**changes), capture_output=True, text=True, timeout=60
    )


def test_a_reader_that_goes() -> None:
    result = process("models", "list", shell="{} | true; echo ${{PIPESTATUS[0]}}")
    assert (result.stdout, result.stderr) == ("1\n", "")


def test_standard_output_on_a_full_disk() -> None:
    result = process("version", shell="{} > /dev/full")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "No space left on device" in result.stderr


@pytest.mark.parametrize(("closed", "said"), [("<&- >&- 2>&-", 0), ("2>&-", 0), (">&-", 1), ("<&-", 1)])
def test_closed_streams(closed: str, said: int) -> None:
    result = process("plan", "nowhere.yaml", shell=f"{{}} {closed}")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == said


def test_names_that_are_no_text(tmp_path: Path) -> None:
    result = subprocess.run(
        [*command("inspect"), os.fsdecode(b"a\xff.npy")], env=environment(PYTHONIOENCODING="ascii"), capture_output=True
    )
    assert result.returncode == 2
    assert result.stderr.startswith(rb"landmarks: a\udcff.npy: nothing is there")


# --- the Prefect API


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, str, str], None]]:
    """A server in place of Prefect's that answers everything alike."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    stack = ExitStack()

    def start(status: int, kind: str, body: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *arguments: Any) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://anna:hunter22@127.0.0.1:{server.server_address[1]}/api"
        monkeypatch.setenv("PREFECT_API_URL", url)
        stack.enter_context(temporary_settings({PREFECT_API_URL: url}))

    with stack:
        yield start


@pytest.mark.parametrize(
    ("status", "kind", "body", "message"),
    [
        (401, "application/json", "{}", "refuses us (401): set PREFECT_API_KEY or PREFECT_API_AUTH_STRING"),
        (403, "text/html", "no", "refuses us (403)"),
        (500, "text/plain", "boom", "answers 500"),
        (404, "text/html", "no", "answers 404"),
        (200, "text/html", "<html>hi</html>", "answers as none does"),
        (200, "application/json", '"1.0.0"', "cannot be used (Found incompatible versions"),
        (200, "application/json", "{}", "answers as none does"),
    ],
)
def test_what_is_no_prefect_api(api: Any, status: int, kind: str, body: str, message: str) -> None:
    api(status, kind, body)
    with pytest.raises(RunError) as caught:
        check_api()
    assert f"the Prefect API http://***@127.0.0.1:{os.environ['PREFECT_API_URL'].split(':')[-1]} {message}" in str(
        caught.value
    )
    assert "correct PREFECT_API_URL" in str(caught.value)


def test_a_prefect_api_that_is_there(prefect_server: str) -> None:
    check_api()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api", "nonsense", "http://no.such.host.invalid/api"])
def test_a_prefect_api_that_is_down(config: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("PREFECT_API_URL", url)
    with temporary_settings({PREFECT_API_URL: url}):
        line = one_line(run("embed", config, "-q"), 1)
    assert f"the Prefect API {url} cannot be reached" in line
    assert not (config.parent / "out.zarr").exists()


# --- proxies


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, None),
        ({"HTTP_PROXY": "http://127.0.0.1:9"}, "127.0.0.1,localhost,::1"),
        ({"http_proxy": "http://p:1", "no_proxy": "a.b, c.d"}, "a.b,c.d,127.0.0.1,localhost,::1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "localhost"}, "localhost,127.0.0.1,::1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "*"),
    ],
)
def test_loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, before: dict[str, str], after: str | None) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name in ("NO_PROXY", "no_proxy"):  # put back as it was, whatever the call sets
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    loopback.spare_loopback()
    assert os.environ.get("NO_PROXY") == after
    loopback.spare_loopback()
    assert os.environ.get("NO_PROXY") == after


def test_calls_to_loopback_pass_dead_proxies(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api(200, "text/plain", "here")
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("all_proxy", "socks://127.0.0.1:9")  # of a kind that httpx refuses to hear of
    loopback.spare_loopback()
    assert httpx.get(os.environ["PREFECT_API_URL"]).text == "here"


# --- configs of every kind of wrong value

EXTREME = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**127), 2**127),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(
        [0, -1, 2**31, 2**63, 10**18, 1e308, 5e-324, "", " ", "\0", "../..", "s3://", "ftp://a", "~", "a\nb"]
    ),
    st.text(max_size=6),
    st.lists(st.integers(-5, 5), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(0, 3), max_size=2),
)
KEYS = {
    "source": ["uri", "array", "column", "columns", "bad_rows", "missing_chunks"],
    "output": ["uri", "overwrite", "store"],
    "landmarks": ["count", "strategy", "seed", "tolerance", "indices", "points", "add_to"],
    "method": ["name", "n_components", "metric", "metric_params", "align", "kernel", "gamma", "degree", "n_neighbors"],
    "cluster": ["workers", "memory", "address", "allow_plaintext", "kind"],
    "report": ["sample", "thumbnail", "kernel_error"],
    "target": ["uri", "array", "column", "held_out"],
}
PLACES = [(section, key) for section, keys in KEYS.items() for key in keys]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(PLACES), EXTREME), min_size=1, max_size=2))
def test_any_config_is_planned_or_refused_in_one_line(config: Path, changes: list[Any]) -> None:
    content = yaml.safe_load(config.read_text())
    for (section, key), value in changes:
        content.setdefault(section, {})[key] = value
    path = config.with_name("changed.yaml")
    path.write_text(yaml.safe_dump(content))
    Edge.debug = False
    result = run("plan", path)
    assert result.exit_code in (0, 2), (changes, result.stderr, result.exception)
    assert len(result.stderr.splitlines()) == (1 if result.exit_code else 0), (changes, result.stderr)
