"""Results of methods that give one value per row, once all are written: cluster sizes, errors on held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from flows.base.stage import stage
from flows.embed.extension import why_undefined
from flows.embed.run import Run
from flows.embed.solution import watch_progress
from flows.embed.solved_method import SolvedMethod
from landmark_ops.maps.causes import Cause
from landmark_ops.maps.heads import Classes, Clusters, Head, Regression
from landmark_ops.maps.tally import Found
from landmark_ops.passes.ranges import ranges
from landmark_ops.passes.scores import Scores, add_scores, count_labels_block, score_block
from landmark_ops.passes.sums import add_arrays
from landmark_ops.report.content import Measure
from landmark_ops.solver.asks import Source
from landmark_ops.solver.nystrom_error import NystromErrors, error_key, nystrom_error

CONSTANT = 1e-14  # of a target's mean: a deviation this small is rounding, and R^2 has no meaning


@dataclass(frozen=True)
class MethodResult:
    """Cluster sizes, or scores on held-out rows, or neither; and what the method itself has to say, `facts`.

    `errors`: of the Nystrom approximation that a kernel method rests on. `undefined`: why rows have no coordinates.
    """

    facts: dict[str, float | str]
    errors: NystromErrors | None
    head: Head | None = None
    cluster_sizes: list[int] | None = None
    scores: Scores | None = None
    undefined: Mapping[Cause, Found] = field(default_factory=dict)

    def measures(self) -> list[Measure]:
        """Errors and scores as lines of the quality table."""
        return self._scored() + self._approximated()

    def _approximated(self) -> list[Measure]:
        if self.errors is None:
            return []
        trace, frobenius = self.errors
        exact = trace.standard_error is None
        where = f"exact over {trace.rows:,} rows" if exact else f"on {trace.rows:,} rows drawn uniformly"
        return [
            Measure(
                "trace error",
                trace.value,
                trace.standard_error,
                "lower",
                f"Share of the kernel's trace the landmarks leave, {where}.",
            ),
            Measure(
                "Frobenius error",
                frobenius.value,
                frobenius.standard_error,
                "lower",
                f"Relative error of the kernel matrix, from the pairs among {frobenius.sample:,} rows.",
            ),
        ]

    def _scored(self) -> list[Measure]:
        scores = self.scores
        if scores is None or scores.rows == 0:
            return []
        n = scores.rows
        where = f"On {n:,} rows held out."
        if isinstance(self.head, Classes):
            share = scores.right / n
            error = float(np.sqrt(share * (1 - share) / n))
            return [Measure("accuracy", share, error, "higher", f"Share of classes that are right. {where}")]
        variance = scores.spread / n
        rmse = float(np.sqrt(scores.sq_error / n))
        lines = [Measure("RMSE", rmse, None, "lower", f"Root mean squared error, in the target's unit. {where}")]
        if variance > (CONSTANT * scores.mean) ** 2:
            r2 = 1 - scores.sq_error / n / variance
            lines.append(Measure("R²", r2, None, "higher", f"Share of the target's variance explained. {where}"))
        if np.isfinite(scores.nlpd):
            meaning = f"Negative log density of the target under mean and std, per row. {where}"
            lines.append(Measure("NLPD", scores.nlpd / n, None, "lower", meaning))
        return lines

    def warnings(self) -> list[str]:
        """What a reader of the scores has to know."""
        scores = self.scores
        if scores is None:
            return []
        said = []
        if scores.rows == 0:
            said.append("no row that has a target and a prediction was held out: errors are not measured")
        if scores.unpredicted:
            said.append(f"{scores.unpredicted:,} rows held out have no prediction and take no part in the scores")
        if scores.untold:
            said.append(f"{scores.untold:,} rows have no target: they are predicted, and not learned from")
        return said

    def attributes(self) -> dict[str, Any]:
        """As the output's attributes hold it."""
        found: dict[str, Any] = {}
        if self.cluster_sizes is not None:
            found["cluster_sizes"] = self.cluster_sizes
        for measure in self.measures():
            found[{"R²": "r2"}.get(measure.name, measure.name.lower().replace(" ", "_"))] = {
                "value": measure.value,
                "standard_error": measure.standard_error,
            }
        if self.scores is not None:
            found["held_out_rows"] = self.scores.rows
            found["held_out_rows_without_prediction"] = self.scores.unpredicted
            found["rows_without_target"] = self.scores.untold
        return found


@stage("errors")
def error_stage(run: Run, methods: list[SolvedMethod]) -> list[NystromErrors | None]:
    """Errors of the kernel approximations, once for all methods that rest on the same one."""
    exact = run.config.report.kernel_error == "exact"
    known: dict[Any, NystromErrors | None] = {}
    found = []
    for solved in methods:
        fitted = solved.solution.map
        key = error_key(fitted)
        if key not in known:
            items = ranges(run.rows.n, solved.records.chunk_rows)
            seed = run.config.landmarks.seed
            source = Source(run.rows, run.engine, items, seed, missing=lambda count: None, watch=watch_progress(run))
            known[key] = nystrom_error(fitted, source, exact=exact)
        found.append(known[key])
    return found


@stage("score")
def score_stage(run: Run, solved: SolvedMethod, errors: NystromErrors | None) -> MethodResult:
    """One pass over the arrays just written, where there is anything to count or to compare."""
    return replace(score(run, solved, errors), undefined=why_undefined(run, solved))


def score(run: Run, solved: SolvedMethod, errors: NystromErrors | None) -> MethodResult:
    """Cluster sizes, or scores on rows held out, as far as the method has any."""
    head, store = solved.solution.map.head, solved.output.store
    facts = dict(solved.solution.facts)
    items = solved.records.items(committed=True)
    if isinstance(head, Clusters):
        with run.progress.stage("score", run.rows.n):
            done = run.progress.rows_done
            count = len(head.centroids)
            sizes = run.engine.reduce(count_labels_block, add_arrays, items, store, count, done=done)
        return MethodResult(facts, errors, head, [int(size) for size in sizes])
    if isinstance(head, Regression | Classes) and run.targets is not None and run.targets.held_out > 0:
        with run.progress.stage("score", run.rows.n):
            done = run.progress.rows_done
            nothing = head.undefined["prediction"]
            scores = run.engine.reduce(score_block, add_scores, items, store, run.targets, nothing, done=done)
        return MethodResult(facts, errors, head, scores=scores)
    return MethodResult(facts, errors, head)
