"""A comparison as one HTML page that needs nothing else, and all files that are written of it."""

from __future__ import annotations

from collections.abc import Callable

from landmark_ops.report.compare.content import CompareReport
from landmark_ops.report.compare.numbers import (
    advice,
    best_of,
    counts_of,
    refusals_of,
    show_error,
    show_range,
    table_of,
)
from landmark_ops.report.compare.table import compare_csv, compare_json, show_evaluations, show_median
from landmark_ops.report.numbers import show_rate
from landmark_ops.report.templates import fill


def render_compare_page(report: CompareReport, pictures: dict[str, bytes]) -> str:
    """Fill the page. Every string of the report is escaped; `pictures` are PNG bytes by file name."""
    table = table_of(report)
    return fill(
        "compare_page.html.j2",
        pictures,
        report=report,
        advice=advice(report),
        counts=counts_of(report),
        table=table,
        best=best_of(table),
        refusals=refusals_of(table),
        evaluated=any(cell.evaluations is not None for cells in table.values() for cell in cells),
        show_error=show_error,
        show_median=show_median,
        show_range=show_range,
        show_evaluations=show_evaluations,
        stages=[(stage, show_rate(stage)) for stage in report.stages],
        total=sum(stage.seconds for stage in report.stages),
    )


def write_compare_report(report: CompareReport, write: Callable[[str, bytes], None]) -> None:
    """Draw and render everything, and hand each file to `write(name, bytes)`; the page comes last."""
    from landmark_ops.report.compare.picture import draw_errors  # matplotlib: 0.4 s that rendering does not need

    pictures = {"error.png": draw_errors(report)}
    page = render_compare_page(report, pictures).encode("utf-8")
    write("error.png", pictures["error.png"])
    write("compare.csv", compare_csv(report))
    write("compare.json", compare_json(report))
    write("index.html", page)
