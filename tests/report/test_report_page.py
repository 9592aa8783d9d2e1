from __future__ import annotations

import base64
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np

from landmark_ops.report.content import EmbedReport, Measure, Stage
from landmark_ops.report.embed.page import render_page, write_report
from landmark_ops.report.markdown import quality_markdown

HOSTILE = "<script>alert('x')</script>\"&$x$|`"
PNG = {"density.png": b"\x89PNG picture", "timings.png": b"\x89PNG other"}
VOID = {"meta", "img", "br", "link", "input"}


class Outline(HTMLParser):
    """Collects tags, attributes and text, and checks that every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def test_page_needs_nothing_else(base_report: EmbedReport) -> None:
    page = render_page(base_report, PNG)
    outline = Outline(page)
    links = [value for _, attributes in outline.tags for name in ("src", "href") if (value := attributes.get(name))]
    assert links
    assert all(link.startswith("data:image/png;base64,") for link in links)
    assert {tag for tag, _ in outline.tags}.isdisjoint({"script", "link", "iframe", "object", "a"})
    assert not re.search(r"url\(|@import|https?://", page)
    assert base64.b64decode(links[0].split(",")[1]) == PNG["density.png"]


def test_page_is_accessible(base_report: EmbedReport) -> None:
    outline = Outline(render_page(base_report, PNG))
    assert all(attributes.get("alt") for tag, attributes in outline.tags if tag == "img")
    assert ("html", {"lang": "en"}) in outline.tags
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        assert attributes.get("aria-labelledby") in {None, *ids}
    assert [tag for tag, _ in outline.tags].count("h1") == 1


def test_page_says_everything(base_report: EmbedReport) -> None:
    words = Outline(render_page(base_report, PNG)).words()
    expected = [base_report.title, base_report.summary, base_report.quality_note, *base_report.warnings]
    expected += ["1 warning", "0.1235 ± 0.0012", "↓ lower", "0.9731", "↑ higher", "How far distances are off."]
    expected += ["0.5 s", "3,000", "6,000 rows/s", "1.25 s", "1 min 15 s", "40,000 rows/s", "1 min 17 s"]
    expected += ["3 kept of 50 eigenvalues", "65.7 %", "0.821 %", "s3://lake/patches.zarr", "0.1.0"]
    expected += [f"{np.median(base_report.coverage.nearest):.4g}", f"{base_report.coverage.cell_sizes.max()}"]
    for text in expected:
        assert text in words, text


def test_hostile_text_stays_text(make_report) -> None:
    report = make_report(
        title=HOSTILE,
        summary=HOSTILE,
        provenance={HOSTILE: HOSTILE},
        warnings=[HOSTILE],
        quality=[Measure(HOSTILE, 1.0, None, "lower", HOSTILE)],
        stages=[Stage(HOSTILE, 1.0, 1)],
        spectrum_name=HOSTILE,
        quality_note=HOSTILE,
    )
    files: dict[str, bytes] = {}
    write_report(report, files.__setitem__)
    page = files["index.html"].decode()
    assert "<script" not in page
    assert Outline(page).words().count(HOSTILE) == 10
    assert "<script" not in quality_markdown(report)


def test_no_warnings_no_box_and_empty_tables_say_so(make_report) -> None:
    words = Outline(render_page(make_report(warnings=[], quality=[], stages=[]), {})).words()
    assert "warning" not in words
    assert "No measure was asked for." in words
    assert "No stage was recorded." in words


def test_files_are_handed_over_page_last(base_report: EmbedReport) -> None:
    files: dict[str, bytes] = {}
    write_report(base_report, files.__setitem__)
    assert list(files)[-1] == "index.html"
    page = files.pop("index.html").decode()
    assert len(files) == 5
    for png in files.values():
        assert png.startswith(b"\x89PNG")
        assert base64.b64encode(png).decode() in page


def test_markdown_is_one_table(base_report: EmbedReport, make_report) -> None:
    text = quality_markdown(base_report)
    assert "| stress-1 | 0.1235 ± 0.0012 | lower | How far distances are off. |" in text
    assert "> **Warning:** 12 rows hold NaN." in text
    report = make_report(quality=[Measure("a|b\nc", float("nan"), 0.1, "higher", "d")])
    assert "| a\\|b c | undefined | higher | d |" in quality_markdown(report)


def test_drawing_imports_neither_pyplot_nor_the_heavy_parts() -> None:
    code = (
        "import sys, landmark_ops.report.embed.pictures, landmark_ops.report.embed.page\n"
        "print([m for m in ('matplotlib.pyplot', 'dask', 'zarr', 'prefect', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
