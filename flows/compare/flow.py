"""The compare flow: the error that each selection strategy leaves at each number of landmarks, on the user's own rows.

open, prepare, try each strategy, report. Writes a page beside the output, and no embedding.
"""

from __future__ import annotations

from typing import Any

from flows.base.artifacts import publish
from flows.base.pipeline import pipeline
from flows.base.progress import Progress
from flows.base.stage import stage
from flows.base.workers import open_engine
from flows.compare.comparison import Comparison, open_comparison
from flows.compare.content import compose
from flows.compare.setting import prepare_stage
from flows.compare.trials import try_stage
from flows.embed.run import Run
from landmark_ops.configs.embed import CompareConfig
from landmark_ops.errors import InputError, RunError
from landmark_ops.report.compare.content import CompareReport, Trial
from landmark_ops.report.compare.page import write_compare_report
from landmark_ops.report.compare.table import compare_lines, compare_markdown
from landmark_ops.stores.locations import join, write_bytes
from landmark_ops.stores.lock import OutputLock


@pipeline("compare")
def compare(config: CompareConfig) -> dict[str, Any]:
    """Compare strategies and numbers of landmarks for `config.method`; returns addresses and the table as lines."""
    return run_compare(config, open_comparison(config), Progress())


def run_compare(config: CompareConfig, comparison: Comparison, progress: Progress) -> dict[str, Any]:
    """The body of the flow, once its inputs are open."""
    rows = comparison.rows
    with OutputLock(comparison.place), open_engine(config.cluster, rows.nbytes) as engine:
        run = Run(config, rows, comparison.fingerprint, None, engine, progress)
        setting = prepare_stage(run, comparison)
        trials: list[Trial] = []
        for strategy in comparison.strategies:
            trials += try_stage(run, comparison, setting, strategy)
        check_some_worked(trials)
        if rows.fingerprint() != comparison.fingerprint or run.source_was_written():
            raise RunError(f"{rows.uri}: changed while it was read: run again once the source is at rest")
        report = compose(run, comparison, setting, trials)
        page = report_stage(run, report, comparison.place)
    return {"outcome": "done", "page": page, "rows": rows.n, "lines": compare_lines(report)}


def check_some_worked(trials: list[Trial]) -> None:
    """InputError with the reason of the first strategy, where all refused."""
    if all(trial.refused for trial in trials):
        first = trials[0]
        raise InputError(f"compare: no strategy could choose landmarks here, {first.strategy} because: {first.refused}")


@stage("report")
def report_stage(run: Run, report: CompareReport, place: str) -> str:
    """Draw and write the page, publish it to Prefect; returns its address."""
    page = join(place, "index.html")
    with run.progress.stage("report"):
        files: dict[str, bytes] = {}
        write_compare_report(report, files.__setitem__)
        for name, content in files.items():
            write_bytes(join(place, name), content)
        publish(compare_markdown(report), files, page, key="compare-strategies", title=report.title)
    return page
