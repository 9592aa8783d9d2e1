"""The report of a detection run as one HTML page that needs nothing else, with the same frame as that of an embedding.

The pictures of the sample lie beside the page too, as files that a click opens; the page shows them without.
"""

from __future__ import annotations

import unicodedata
from base64 import b64encode
from collections.abc import Callable
from typing import NamedTuple

from landmark_ops.report.detect.content import DetectReport, check_account
from landmark_ops.report.detect.numbers import account, describe, ordered_reasons, score_edges, show_median, show_share
from landmark_ops.report.numbers import show_rate
from landmark_ops.report.templates import fill

HIDDEN = {"Cc", "Cs"}  # control characters, and half characters of names that are not UTF-8
TURNING = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # reading direction


class Overlay(NamedTuple):
    """One picture of the sample: its file beside the page, its caption, and its JPEG bytes."""

    name: str
    caption: str
    jpeg: bytes

    @property
    def data(self) -> str:
        """The bytes as the page embeds them."""
        return b64encode(self.jpeg).decode("ascii")


def name_overlays(report: DetectReport) -> list[Overlay]:
    """Number the pictures of the sample, overlay-01.jpg and on: captions are file names of others, never ours."""
    digits = max(2, len(str(len(report.overlays))))
    return [
        Overlay(f"overlay-{i:0{digits}d}.jpg", spell(caption), jpeg)
        for i, (caption, jpeg) in enumerate(report.overlays, 1)
    ]


def spell(name: str) -> str:
    """Write characters that hide or turn text as escapes, e.g. those that make "gpj.exe" read as "exe.jpg"."""
    return "".join(
        repr(sign)[1:-1] if unicodedata.category(sign) in HIDDEN or sign in TURNING else sign for sign in name
    )


def render_detect_page(report: DetectReport, pictures: dict[str, bytes]) -> str:
    """Fill the page. Every string of the report is escaped; `pictures` are PNG bytes by file name."""
    check_account(report)
    return fill(
        "detect_page.html.j2",
        pictures,
        report=report,
        account=account(report),
        described=describe(report),
        overlays=name_overlays(report),
        reasons=[(reason, show_share(reason.count, report.images)) for reason in ordered_reasons(report)],
        median_score=show_median(report.scores, score_edges(report.scores)),
        median_size=show_median(report.sizes, report.size_edges, " px"),
        stages=[(stage, show_rate(stage, "images")) for stage in report.stages],
        total=sum(stage.seconds for stage in report.stages),
    )


def write_detect_report(report: DetectReport, write: Callable[[str, bytes], None]) -> None:
    """Draw and render everything, and hand each file to `write(name, bytes)`: pictures, overlays, then index.html.

    The page comes last, so that a folder with a page holds the whole report. Half characters, which file names that
    are not UTF-8 hold, are written as escapes.
    """
    from landmark_ops.report.detect.pictures import draw_detect  # matplotlib: 0.4 s that rendering alone does not need

    pictures = draw_detect(report)
    page = render_detect_page(report, pictures).encode("utf-8", "backslashreplace")
    for name, png in pictures.items():
        write(name, png)
    for overlay in name_overlays(report):
        write(overlay.name, overlay.jpeg)
    write("index.html", page)
