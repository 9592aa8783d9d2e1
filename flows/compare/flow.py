"""The compare flow: on the user's own rows, what each selection strategy leaves unexplained at how many landmarks.

open, prepare, try each strategy, report. Writes a page beside the output, and no embedding.
"""

from __future__ import annotations

from typing import Any

from flows.base.artifacts import publish
from flows.base.pipeline import pipeline
from flows.base.progress import Progress
from flows.base.stage import stage
from flows.base.workers import open_engine
from flows.compare.trials import Comparison, Setting, open_comparison, prepare_stage, try_stage
from flows.embed.run import Run
from landmark_ops import __version__
from landmark_ops.configs.embed import CompareConfig
from landmark_ops.errors import InputError, RunError
from landmark_ops.report.compare.content import CompareReport, Floor, Trial
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
        setting = prepare_stage(run)
        trials: list[Trial] = []
        for strategy in comparison.strategies:
            trials += try_stage(run, strategy, comparison.counts, setting)
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


def compose(run: Run, comparison: Comparison, setting: Setting, trials: list[Trial]) -> CompareReport:
    """Everything the page says."""
    config, rows, left = run.config, comparison.rows, setting.left
    assert isinstance(config, CompareConfig)
    shape = " × ".join(str(size) for size in rows.row_shape)
    seeds = config.compare.repeats
    strategies, counts = len(comparison.strategies), len(comparison.counts)
    parts = [
        f"{strategies} strateg{'ies' if strategies > 1 else 'y'} at {counts} number{'s' if counts > 1 else ''} of "
        f"landmarks, {seeds} seed{'s' if seeds > 1 else ''} each, chosen among all {rows.n:,} rows of {shape} "
        f"{rows.dtype.name}; errors measured on {len(setting.X):,} rows drawn uniformly"
    ]
    method = {key: value for key, value in config.method.model_dump(exclude_none=True).items() if key != "name"}
    return CompareReport(
        title=f"Landmarks for {config.method.title} of {config.source.uri}",
        summary="".join(parts),
        measure=left.measure,
        meaning=left.meaning,
        baseline=baseline_of(config, comparison),
        trials=trials,
        floor=None if left.bound is None else Floor(*left.bound),
        stages=run.progress.stages,
        provenance={
            "source": rows.describe(),
            "source fingerprint": comparison.fingerprint,
            "method": f"{config.method.name}: " + ", ".join(f"{key} {value}" for key, value in method.items()),
            "seeds": f"{config.landmarks.seed} to {config.landmarks.seed + seeds - 1}",
            "workers": str(run.engine.workers),
            "version": f"landmark-ops {__version__}",
        },
        warnings=[],
    )


def baseline_of(config: CompareConfig, comparison: Comparison) -> str:
    """The configured strategy, which the others are held against; uniform where it is not among them."""
    named = config.landmarks.strategy
    return named if named in comparison.strategies else "uniform"
