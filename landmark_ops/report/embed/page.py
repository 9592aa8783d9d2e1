"""The report as one HTML page that needs nothing else: no script, no request, pictures inside it.

The page carries a policy that forbids the browser to load anything but the data in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from landmark_ops.report.content import EmbedReport
from landmark_ops.report.numbers import (
    coverage_numbers,
    show,
    show_measure,
    show_percent,
    show_rate,
    spectrum_numbers,
)
from landmark_ops.report.templates import fill

LISTED = 20  # eigenvalues written out; the picture shows all


class Row(NamedTuple):
    """One row of a table of eigenvalues: rank, value, share of the positive sum up to it."""

    rank: int
    value: str
    share: str


def render_page(report: EmbedReport, pictures: dict[str, bytes]) -> str:
    """Fill the page. Every string of the report is escaped; `pictures` are PNG bytes by file name."""
    total = sum(stage.seconds for stage in report.stages)
    return fill(
        "page.html.j2",
        pictures,
        report=report,
        coverage=coverage_numbers(report.coverage),
        eigenvalues=list_eigenvalues(report),
        kept_share=spectrum_numbers(report).kept_share,
        quality=[(measure, show_measure(measure.value, measure.standard_error)) for measure in report.quality],
        stages=[(stage, show_rate(stage)) for stage in report.stages],
        total=total,
    )


def list_eigenvalues(report: EmbedReport) -> list[Row]:
    """Write out the first LISTED eigenvalues."""
    numbers = spectrum_numbers(report)
    return [
        Row(i + 1, show(float(value)), show_percent(float(numbers.cumulative[i])) if numbers.cumulative.size else "–")
        for i, value in enumerate(numbers.values[:LISTED])
    ]


def write_report(report: EmbedReport, write: Callable[[str, bytes], None]) -> None:
    """Draw and render everything, and hand each file to `write(name, bytes)`: the pictures, then index.html.

    The page comes last, so that a folder with a page holds the whole report.
    """
    from landmark_ops.report.embed.pictures import draw_all  # matplotlib: 0.4 s that rendering alone does not need

    pictures = draw_all(report)
    page = render_page(report, pictures).encode("utf-8")
    for name, png in pictures.items():
        write(name, png)
    write("index.html", page)
