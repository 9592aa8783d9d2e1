"""Start runs from a command line: check first, start the servers beside the imports, then call the flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from flows.base.progress import Progress, make_progress
from flows.base.runtime import PrefectServer, worker_count, worker_memory
from landmark_ops.configs.detect import DetectConfig
from landmark_ops.configs.embed import CompareConfig, EmbedConfig

if TYPE_CHECKING:
    from prefect import Flow

    from landmark_ops.stores.embeddings.store import EmbeddingStore

C = TypeVar("C")


def launch_embed(config: EmbedConfig | Callable[[], EmbedConfig], mode: Literal["auto", "quiet"]) -> dict[str, Any]:
    """Run the embed flow with progress on stderr; see `launch`."""

    def prepare(config: EmbedConfig, progress: Progress) -> Callable[[], dict[str, Any]]:
        from flows.embed.inputs import open_run

        open_run(config)
        import distributed  # noqa: F401  imported while the server starts

        import landmark_ops.report.embed.pictures  # noqa: F401  likewise: matplotlib takes a second
        from flows.embed.flow import embed, run_embed

        return lambda: dict(followed(embed, run_embed, progress)(config))

    return launch(config, prepare, mode)


def launch_detect(config: DetectConfig | Callable[[], DetectConfig], mode: Literal["auto", "quiet"]) -> dict[str, Any]:
    """Run the detect flow with progress on stderr; see `launch`."""

    def prepare(config: DetectConfig, progress: Progress) -> Callable[[], dict[str, Any]]:
        import distributed  # noqa: F401  imported while the server starts

        from flows.detect.flow import detect, open_work, run_detect

        open_work(config, recover=False)
        return lambda: dict(followed(detect, run_detect, progress)(config))

    return launch(config, prepare, mode)


def launch_compare(
    config: CompareConfig | Callable[[], CompareConfig], mode: Literal["auto", "quiet"]
) -> dict[str, Any]:
    """Run the compare flow with progress on stderr; see `launch`."""

    def prepare(config: CompareConfig, progress: Progress) -> Callable[[], dict[str, Any]]:
        from flows.compare.trials import open_comparison

        open_comparison(config)
        import distributed  # noqa: F401  imported while the server starts

        import landmark_ops.report.compare.picture  # noqa: F401  likewise
        from flows.compare.flow import compare, run_compare

        return lambda: dict(followed(compare, run_compare, progress)(config))

    return launch(config, prepare, mode)


def launch(
    config: C | Callable[[], C],
    prepare: Callable[[C, Progress], Callable[[], dict[str, Any]]],
    mode: Literal["auto", "quiet"],
) -> dict[str, Any]:
    """Run the flow that `prepare` returns for a config, or for the one that `config` reads.

    The temporary Prefect server needs seconds to come up: it starts first. Meanwhile the config is read, which imports
    what it names, and `prepare` checks source and output and imports the heavy modules. A mistake is answered without
    waiting for the server.
    """
    server = PrefectServer()
    server.start()
    try:
        settings = config() if callable(config) else config
        progress = make_progress(mode)
        try:
            with progress.stage("open"):
                run = prepare(settings, progress)
                server.wait()
            with quiet_server(server):
                return run()
        finally:
            progress.close()
    finally:
        server.stop()


def followed(
    flow: Flow[[C], dict[str, Any]], body: Callable[[C, Progress], dict[str, Any]], progress: Progress
) -> Flow[[C], dict[str, Any]]:
    """`flow` for a caller in this process who watches it: all that Prefect knows of it the same, `progress` his own."""

    @wraps(flow.fn)
    def run(config: C) -> dict[str, Any]:
        return body(config, progress)

    mine = copy(flow)
    mine.fn = run
    return mine


@contextmanager
def quiet_server(server: PrefectServer) -> Iterator[None]:
    """Where the server is our own, talk to it, and without heartbeats.

    Nobody listens to them, and the last one keeps a run waiting 0.6 s. Prefect read its settings when imported: a
    second run in one process, as in a notebook, would look for the server of the first.
    """
    if server.process is None:
        yield
        return
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_API_URL: server.url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def describe_plan(config: EmbedConfig) -> list[str]:
    """What `embed` would do, as lines; refuses what it would refuse."""
    from flows.embed.inputs import open_run
    from flows.embed.plan import check_local, expected_seconds, make_plan, report_lines

    opened = open_run(config)
    plan = make_plan(config, opened.rows, None if opened.given is None else len(opened.given))
    workers, limit = worker_count(config.cluster), worker_memory(config.cluster)
    lines = [opened.rows.describe()]
    for part in opened.parts:
        if part.state != "new":
            lines.append(f"{part.store.uri}: {'already complete' if part.state == 'complete' else 'will be resumed'}")
    lines += report_lines(plan, expected_seconds(plan, config, opened.rows, workers), workers, limit)
    check_local(plan, opened.rows, config.cluster)
    return lines


def describe_place(uri: str, array: str | None, column: str | None) -> list[str]:
    """What lies at `uri`: an embedding with status and quality, or a source."""
    from landmark_ops.errors import InputError
    from landmark_ops.stores.embeddings.format import open_output
    from landmark_ops.stores.sources.source import open_rows

    try:
        status = open_output(uri).read_status() if array is None and column is None else None
    except InputError:
        status = None  # something else: a source, perhaps
    if status is None:
        return [open_rows(uri, array=array, column=column).describe()]
    source = status["source"]
    lines = [
        f"{uri}: embedding by {status['method']}, {status['status']}",
        f"source  {source['uri']} {source['shape']}",
    ]
    for name, estimate in status.get("quality", {}).items():
        if isinstance(estimate, dict):
            error = estimate["standard_error"]
            spread = "" if error is None else f" ± {error:.4f}"
            lines.append(f"{name.replace('_', ' ')}  {estimate['value']:.4f}{spread}")
    return [*lines, *describe_chunks(open_output(uri), status["status"] == "complete")]


def describe_chunks(store: EmbeddingStore, complete: bool) -> list[str]:
    """What is there of an embedding, and of its successor. DamagedError where a complete one lacks something."""
    from landmark_ops.stores.embeddings.presence import count_committed, raise_for

    if complete:
        raise_for(store.uri, store.find_missing())
    done, count = count_committed(store)
    lines = [f"chunks  {done:,} of {count:,} committed"]
    if complete:
        lines = [f"chunks  all {count:,} there with their sizes, content not checked: landmarks verify {store.uri}"]
    if store.successor.read_status() is not None:
        done, count = count_committed(store.successor)
        lines.append(f"successor  in the making, {done:,} of {count:,} chunks committed")
    return lines
