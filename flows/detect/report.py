"""The last stage of the detect flow: the account of the whole generation, its page, and Prefect artifacts."""

from __future__ import annotations

from typing import Any

from flows.base.artifacts import publish
from flows.base.progress import Progress
from flows.base.stage import stage
from flows.detect.account import SIZE_EDGES, Account, read_account
from flows.detect.job import Job
from flows.detect.totals import Totals
from landmark_ops import __version__
from landmark_ops.configs.detect import DetectConfig
from landmark_ops.errors import InputError
from landmark_ops.images.reasons import MEANINGS
from landmark_ops.report.detect.content import DetectReport, Reason
from landmark_ops.report.detect.page import write_detect_report
from landmark_ops.report.markdown import detect_markdown
from landmark_ops.shards.member import say_passed
from landmark_ops.stores.locations import join, read_bytes, write_bytes
from landmark_ops.stores.tables.staged import PRIVATE
from landmark_ops.stores.tables.tables import TableSet


def publish_detect(
    config: DetectConfig, tables: TableSet, job: Job, totals: Totals, progress: Progress
) -> dict[str, Any]:
    """Read the account back from the tables, write the page if anything is new, and return the account."""
    account = read_account(tables, job.config_hash)
    if not account.images:
        raise InputError(f"{config.source.uri}: {nothing_met(config, totals)}")
    page = join(tables.uri, "report", "index.html")
    mark = join(tables.uri, PRIVATE, "page")
    told = f"{job.config_hash} {account.images}"
    if totals.images or totals.replaced or not is_reported(mark, told):
        with progress.stage("report"):
            report_stage(compose(config, job, account, totals, progress), page)
        write_bytes(mark, told.encode())
    return {
        "outcome": "done" if totals.images or totals.replaced else "nothing new",
        "tables": {name: tables.table_uri(name) for name in tables.schemas},
        "report": page,
        "images": account.images,
        "with_instances": account.with_instances,
        "without": account.without,
        "failed": account.failed,
        "instances": account.instances,
        "this_run": totals.images,
        "passed_over": dict(totals.passed),
        "config_hash": job.config_hash,
        "warnings": undrawn(totals),
    }


def undrawn(totals: Totals) -> list[str]:
    """One line where pictures of the sample could not be drawn in this run."""
    if not totals.undrawn:
        return []
    reason, _ = totals.undrawn.most_common(1)[0]
    return [f"{totals.undrawn.total():,} pictures of the report could not be drawn, their rows are complete: {reason}"]


def nothing_met(config: DetectConfig, totals: Totals) -> str:
    """Why a run has no image to show, and what to do about it."""
    if totals.passed:
        like = f"match source.glob {config.source.glob!r}" if config.source.glob else "look like images"
        return (
            f"0 of {totals.passed.total():,} members {like}: {say_passed(totals.passed)}: set source.glob to the names "
            "of the images, such as '*.img'"
        )
    return "holds no image, only empty shards: name another source.uri, or run again when images have come"


def is_reported(mark: str, told: str) -> bool:
    """Whether the page tells of this generation and this many images.

    It does not where a run was killed after its last commit, or where another generation was run since.
    """
    try:
        return read_bytes(mark) == told.encode()
    except FileNotFoundError:
        return False


def compose(config: DetectConfig, job: Job, account: Account, totals: Totals, progress: Progress) -> DetectReport:
    """Everything the page says."""
    pipeline = job.pipeline
    warnings = undrawn(totals)
    if account.failed:
        share = account.failed / max(account.images, 1)
        warnings.append(f"{account.failed:,} images ({share:.1%}) could not be read: see the table of failures")
    return DetectReport(
        title=f"{pipeline.title} in {config.source.uri}",
        summary=f"{account.instances:,} instances in {account.with_instances:,} of {account.images:,} images, "
        f"by pipeline {pipeline.name}"
        + (f"; rewritten under their names: {totals.rewritten:,}" if totals.rewritten else "")
        + (f"; passed over: {say_passed(totals.passed)}" if totals.passed else ""),
        images=account.images,
        with_instances=account.with_instances,
        without=account.without,
        failed=account.failed,
        instances=account.instances,
        this_run=totals.images,
        scores=account.scores,
        sizes=account.sizes,
        size_edges=SIZE_EDGES,
        reasons=[Reason(code, count, MEANINGS.get(code, "")) for code, count in account.reasons.most_common()],
        overlays=[(picture.caption, picture.jpeg) for picture in totals.overlays],
        stages=progress.stages,
        images_per_second=totals.images / totals.seconds if totals.seconds and totals.images else None,
        provenance={
            "source": config.source.uri,
            "tables": job.output,
            "pipeline": f"{pipeline.name}: {pipeline.title}",
            "landmark set": pipeline.landmark_set or "none, boxes only",
            **{f"model {name}": sha256 for name, sha256 in job.model_sha256.items()},
            "generation (config_hash)": job.config_hash,
            "run": job.run_id,
            "version": f"landmark-ops {__version__}",
        },
        warnings=warnings,
    )


@stage("report")
def report_stage(report: DetectReport, page: str) -> None:
    """Write the page with its pictures, and publish both to Prefect."""
    files: dict[str, bytes] = {}
    write_detect_report(report, files.__setitem__)
    folder = page.removesuffix("/index.html")
    for name, content in files.items():
        write_bytes(join(folder, name), content)
    publish(detect_markdown(report), files, page, key="detection-account", title=report.title)
