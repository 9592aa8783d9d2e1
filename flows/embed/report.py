"""The last stages of the embed flow: measure quality on a sample, draw the report, publish it to Prefect."""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.base.artifacts import publish
from flows.base.stage import stage
from flows.embed import report_files
from flows.embed.run import Run
from flows.embed.sample import PlacedSample
from flows.embed.scores import MethodResult
from flows.embed.solved_method import SolvedMethod
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.errors import InputError
from landmark_ops.maps.heads import Clusters, Regression
from landmark_ops.maps.tally import describe
from landmark_ops.numerics.blocks import row_geometry
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.metric import Metric
from landmark_ops.numerics.quality import Estimate, Quality
from landmark_ops.passes.histograms import histogram_block
from landmark_ops.passes.ranges import ranges
from landmark_ops.passes.sample_measures import Cover, sample_cover, sample_quality
from landmark_ops.passes.sums import add_arrays
from landmark_ops.report.content import (
    Classified,
    Clustered,
    Coverage,
    Density,
    EmbedReport,
    Measure,
    Predicted,
)
from landmark_ops.report.embed.page import write_report
from landmark_ops.report.markdown import quality_markdown
from landmark_ops.stores.locations import join
from landmark_ops.stores.sources.rows import Rows

BINS = 384  # cells per side of a density picture: about one per pixel of a panel


@stage("quality")
def quality_stage(run: Run, solved: SolvedMethod, sample: PlacedSample) -> tuple[Quality | None, Cover]:
    """Measure quality and coverage on the sampled rows that have coordinates.

    A single row can be placed by a stored map, and has no quality.
    """
    solution = solved.solution
    placed = np.asarray(~np.isnan(sample.embedding).any(axis=1))
    least, needed = (2, "2 are needed") if run.config.map is None else (1, "1 is needed")
    if placed.sum() < least:
        raise InputError(
            f"{run.rows.uri}: {placed.sum()} of {len(placed)} rows drawn to measure quality have coordinates, at least "
            f"{needed}, the others hold NaN or Inf or are undefined under the metric: clean the source, or raise "
            "report.sample"
        )
    X, embedding = sample.rows[placed], sample.embedding[placed]
    with run.progress.stage("quality"):
        seed = run.config.landmarks.seed
        quality = None
        if len(X) > 1:
            quality = sample_quality(X, embedding, solution.map, run.engine, seed, solution.embedding)
        return quality, sample_cover(X, solution.map, run.engine)


@stage("report")
def report_stage(
    run: Run, solved: SolvedMethod, sample: PlacedSample, quality: Quality | None, cover: Cover, result: MethodResult
) -> str:
    """Draw every placed row and all measures; returns where the page will be once the embedding is complete."""
    place = report_files.report_address(solved.output.store.uri)
    key = "embedding-quality"
    if run.config.methods:
        key += f"-{solved.output.name.replace('_', '-')}"
    with run.progress.stage("report", run.rows.n):
        densities = count_rows(run, solved)
        report = compose(run, solved, sample, quality, cover, result, densities)
        files: dict[str, bytes] = {}
        write_report(report, files.__setitem__)
        report_files.keep(solved.output.store, files)
        publish(quality_markdown(report), files, join(place, "index.html"), key=key, title=report.title)
    return join(place, "index.html")


def count_rows(run: Run, solved: SolvedMethod) -> list[Density]:
    """Every row of the embedding counted on grids over the first components, read back from the output."""
    records = solved.records
    k = records.low.shape[1]
    pairs = ((0, 0),) if k == 1 else ((0, 1),) if k == 2 else ((0, 1), (0, 2), (1, 2))
    low = np.nanmin(records.low, axis=0).astype(np.float64)
    high = np.nanmax(records.high, axis=0).astype(np.float64)
    items = ranges(run.rows.n, records.chunk_rows)
    counts = run.engine.reduce(
        histogram_block, add_arrays, items, solved.output.store, pairs, low, high, BINS, done=run.progress.rows_done
    )
    if k == 1:
        return [Density((0, 0), np.diagonal(counts[0])[None, :], (low[0], high[0], 0.0, 1.0))]
    return [
        Density((x, y), grid, (float(low[x]), float(high[x]), float(low[y]), float(high[y])))
        for (x, y), grid in zip(pairs, counts, strict=True)
    ]


def compose(
    run: Run,
    solved: SolvedMethod,
    sample: PlacedSample,
    quality: Quality | None,
    cover: Cover,
    result: MethodResult,
    densities: list[Density],
) -> EmbedReport:
    """Everything the report says."""
    landmarks, solution = solved.landmarks, solved.solution
    config, rows, block = solved.output.config, run.rows, row_geometry(solution.map.block)
    method = config.method.title
    warnings = [*solution.warnings, *result.warnings()]
    if result.undefined:
        warnings.append(f"{describe(result.undefined, solution.map.block)}: they have NaN coordinates")
    distance = f"{block.name} distance" if isinstance(block, Metric) else f"distance in the {block.name} feature space"
    thumbnails = None
    if config.report.thumbnail is not None:
        thumbnails = np.asarray(landmarks.points).reshape(len(landmarks.points), *config.report.thumbnail)
    supervised = config.method.supervised
    shape = " × ".join(str(size) for size in rows.row_shape)
    m, k = solution.map.n_landmarks, solution.map.n_components
    if config.map is None:
        made, spectrum = f"{method} from {m:,} landmarks ({config.landmarks.strategy})", solution.spectrum
    else:  # the spectrum is of the rows that the map was fitted on
        made, spectrum = f"the stored map of {config.map}, {method} from {m:,} landmarks", None
    return EmbedReport(
        title=f"{method} of {config.source.uri}",
        summary=f"{rows.n:,} rows of {shape} {rows.dtype.name} "
        + ("predicted " if supervised else f"placed in {k} dimension{'s' if k > 1 else ''} ")
        + f"by {made}",
        densities=densities,
        landmarks=solution.embedding,
        spectrum=spectrum,
        kept=solution.rank if supervised else k,
        negative_mass=solution.negative_mass,
        spectrum_name=config.method.spectrum_of,
        coverage=Coverage(
            cover.nearest,
            distance,
            cover.cell_sizes,
            sample.residual.astype(np.float64),
            config.method.residuals_are,
        ),
        # distances between predictions mean nothing
        quality=result.measures() + ([] if supervised or quality is None else measures(quality, distance)),
        quality_note=quality_note(config, rows, quality),
        stages=run.progress.stages,
        provenance=provenance(run, solved, result),
        warnings=warnings,
        thumbnails=thumbnails,
        outcome=picture_outcome(run, solved, sample, result),
    )


def quality_note(config: EmbedConfig, rows: Rows, quality: Quality | None) -> str:
    """On which rows quality was measured."""
    seed = config.landmarks.seed
    if config.method.supervised:
        scored = "Rows held out and errors" if config.map is None else "No target is known for these rows; errors"
        return f"{scored} of the kernel as said; seed {seed}"
    if quality is None:
        return "Only one row has coordinates: no distances to compare"
    return (
        f"{quality.queries:,} query rows, each against {quality.sample:,} rows drawn uniformly from all "
        f"{rows.n:,} (seed {seed}); ± is one standard error over queries"
    )


def picture_outcome(
    run: Run, solved: SolvedMethod, sample: PlacedSample, result: MethodResult
) -> Clustered | Predicted | Classified | None:
    """What the method assigns to the sampled rows, for the picture; to held-out rows where there is a target."""
    head = solved.solution.map.head
    if head is None:
        return None
    read = head.read(sample.embedding.astype(np.float64), sample.residual.astype(np.float64))
    if isinstance(head, Clusters):
        k = sample.embedding.shape[1]
        components = (1, 2) if k > 2 else (0, min(1, k - 1))  # the first one is nearly constant
        points = sample.embedding[:, list(components)].astype(np.float64)
        return Clustered(points, read["labels"], components, np.asarray(result.cluster_sizes, np.int64))
    if run.targets is None or run.targets.held_out == 0:
        return None
    target = run.targets.take(sample.indices)[:, 0]
    aside = np.array([not run.targets.trains(int(i), int(i) + 1)[0] for i in sample.indices])
    keep = aside & np.isfinite(target) & np.isfinite(sample.embedding).all(axis=1)
    if isinstance(head, Regression):
        std = read["std"][keep] if "std" in read else None
        return Predicted(target[keep].astype(np.float64), read["prediction"][keep], std)
    keep[keep] = np.isin(target[keep], head.classes)  # a class met only among rows held out has no column
    codes = np.searchsorted(head.classes, target[keep].astype(head.classes.dtype))
    found = np.searchsorted(head.classes, read["prediction"][keep])
    c = len(head.classes)
    return Classified(head.classes, np.bincount(codes * c + found, minlength=c * c).reshape(c, c))


def measures(quality: Quality, distance: str) -> list[Measure]:
    """The quality table."""
    k = quality.neighbors
    return [
        Measure("stress-1", *quality.stress, "lower", f"Relative error of distances between rows ({distance})."),
        Measure(
            "residual variance",
            *quality.residual_variance,
            "lower",
            "Share of the variance of distances that a straight line through embedded distances leaves.",
        ),
        Measure(
            "trustworthiness",
            *quality.trustworthiness,
            "higher",
            f"Rows shown as {k} nearest neighbours are near indeed.",
        ),
        Measure("continuity", *quality.continuity, "higher", f"The {k} nearest neighbours of a row are shown near it."),
        Measure(
            "kNN recall", *quality.recall, "higher", f"Share of the {k} nearest neighbours kept among the {k} shown."
        ),
    ]


def quality_attributes(quality: Quality | None) -> dict[str, Any]:
    """Quality as the output's attributes hold it."""
    if quality is None:
        return {}
    estimates = {
        name: {"value": float(value.value), "standard_error": float(value.standard_error)}
        for name, value in quality._asdict().items()
        if isinstance(value, Estimate)
    }
    return {**estimates, "neighbors": quality.neighbors, "queries": quality.queries, "sample": quality.sample}


def provenance(run: Run, solved: SolvedMethod, result: MethodResult) -> dict[str, str]:
    """Where the numbers come from, as the page's last table."""
    from landmark_ops import __version__

    config, solution, landmarks = solved.output.config, solved.solution, solved.landmarks
    method = {key: value for key, value in config.method.model_dump(exclude_none=True).items() if key != "name"}
    block = solution.map.block
    if isinstance(block, Kernel):
        method["gamma"] = f"{block.gamma:.6g}" + ("" if method.get("gamma") else " (median rule)")
    if config.map is None:
        made = {
            "landmarks": f"{landmarks.note}; seed {config.landmarks.seed}",
            "rank": f"{solution.rank} (eigenvalues above {solution.cutoff:.1e} of the largest)",
        }
    else:
        made = {"map": f"that of {config.map}, sha256 {solved.sha256[:12]}", "its landmarks": landmarks.note}
    return {
        "source": run.rows.describe(),
        "source fingerprint": run.fingerprint,
        "embedding": solved.output.store.uri,
        "method": f"{config.method.name}: " + ", ".join(f"{key} {value}" for key, value in method.items()),
        **made,
        **{name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in result.facts.items()},
        **({"cluster sizes": ", ".join(f"{n:,}" for n in result.cluster_sizes)} if result.cluster_sizes else {}),
        "evaluation": "collapsed to one matrix" if solution.map.collapsed else "block by block",
        "configuration hash": config.result_hash(solved.sha256),
        "version": f"landmark-ops {__version__}",
    }
