"""The content of a comparison's page."""

from __future__ import annotations

from flows.compare.comparison import Comparison
from flows.compare.setting import Setting
from flows.embed.run import Run
from landmark_ops import __version__
from landmark_ops.report.compare.content import CompareReport, Floor, Trial


def compose(run: Run, comparison: Comparison, setting: Setting, trials: list[Trial]) -> CompareReport:
    """Everything the page says."""
    config, rows, left = comparison.config, comparison.rows, setting.left
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
        baseline=baseline_of(comparison),
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


def baseline_of(comparison: Comparison) -> str:
    """The configured strategy, with which the others are compared; uniform where it is not among them."""
    named = comparison.config.landmarks.strategy
    return named if named in comparison.strategies else "uniform"
