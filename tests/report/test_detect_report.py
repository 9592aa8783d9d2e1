from __future__ import annotations

import base64
import dataclasses
import math
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from landmark_ops.report.content import Stage
from landmark_ops.report.detect.content import DetectReport, Reason
from landmark_ops.report.detect.numbers import account, median_bin, ordered_reasons
from landmark_ops.report.detect.page import render_detect_page, write_detect_report
from landmark_ops.report.detect.pictures import draw_detect
from landmark_ops.report.markdown import detect_markdown
from tests.report.test_report_page import HOSTILE, Outline
from tests.report.test_report_pictures import check_drawn, decode

JPEG = b"\xff\xd8\xff picture"
PICTURES = {name: b"\x89PNG " + name.encode() for name in ("scores.png", "sizes.png", "failures.png")}
EDGES = np.r_[0, 2.0 ** np.arange(12), np.inf]
NOTHING = np.zeros(0, np.int64)

BASE = DetectReport(
    title="Faces in s3://lake/images",
    summary="12,000 images of 12 shards read by face-478",
    images=12_000,
    with_instances=9_000,
    without=2_900,
    failed=100,
    instances=13_500,
    this_run=4_000,
    scores=np.r_[np.zeros(10, np.int64), np.full(10, 1_349)],
    sizes=np.r_[0, np.zeros(4, np.int64), 500, 3_000, 8_000, 2_000, 0, 0, 0, 0],
    size_edges=EDGES,
    reasons=[Reason("too_large", 0, "never"), Reason("empty", 7, "zero bytes"), Reason("truncated", 93, "cut off")],
    overlays=[("a/one.jpg · 2 faces", JPEG + b"1"), ("b/two.jpg · none", JPEG + b"2")],
    stages=[Stage("open", 1.5, None), Stage("detect", 80.0, 4_000)],
    images_per_second=50.0,
    provenance={"source": "s3://lake/images", "version": "0.1.0"},
    warnings=["2 shards have changed."],
)
NO_IMAGES: dict[str, Any] = {
    "images": 0,
    "with_instances": 0,
    "without": 0,
    "failed": 0,
    "instances": 0,
    "this_run": 0,
    "scores": NOTHING,
    "sizes": NOTHING,
    "size_edges": np.zeros(0),
    "reasons": [],
    "overlays": [],
    "stages": [],
    "images_per_second": None,
    "warnings": [],
}


def make(**changes: Any) -> DetectReport:
    return dataclasses.replace(BASE, **changes)


def words_of(report: DetectReport) -> str:
    return Outline(render_detect_page(report, PICTURES)).words()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": 12_001}, "12,001 images in, but 9,000 with rows .* 100 failures = 12,000"),
        ({"without": 2_899}, "12,000 images in, but .* = 11,999"),
        ({"without": -100, "images": 9_000}, "without is -100, a count cannot be negative"),
        ({"scores": np.array([-1, 1])}, "least of scores is -1"),
        ({"reasons": [Reason("empty", 99, "")]}, "100 failures, but the counts of their reasons sum to 99"),
        ({"reasons": []}, "reasons sum to 0"),
        ({"this_run": 12_001}, "12,001 images processed by this run, but 12,000 met"),
        ({"instances": 8_999}, "8,999 instances in 9,000 images"),
        ({"with_instances": 0, "without": 11_900}, "13,500 instances in 0 images"),
        ({"scores": np.full(20, 10_000)}, "scores count 200,000 instances, but 13,500 were found"),
        ({"size_edges": EDGES[:-1]}, "13 bins of sizes need 14 edges, got 13"),
        ({"size_edges": EDGES[::-1]}, "edges of sizes do not ascend"),
    ],
)
def test_an_account_that_does_not_add_up_is_never_shown(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"does not add up: .*{message}"):
        make(**changes)


def test_a_report_changed_behind_its_back_is_not_written() -> None:
    report = make(reasons=list(BASE.reasons))
    report.reasons.pop()
    files: dict[str, bytes] = {}
    with pytest.raises(ValueError, match="does not add up"):
        write_detect_report(report, files.__setitem__)
    with pytest.raises(ValueError, match="does not add up"):
        detect_markdown(report)
    assert files == {}


def test_the_account_stands_at_the_top_and_adds_up() -> None:
    words = words_of(BASE)
    equation = "12,000 images in = 9,000 with rows, 75 % + 2,900 zero detections, 24.2 % + 100 failures, 0.833 %"
    assert equation in words
    assert words.index(equation) < words.index("1 warning") < words.index("Sample")
    whole, *parts = account(BASE)
    assert whole.images == sum(part.images for part in parts)


def test_page_says_everything() -> None:
    words = words_of(BASE)
    expected = [BASE.title, BASE.summary, *BASE.warnings, "a/one.jpg · 2 faces", "b/two.jpg · none"]
    expected += ["8,000 of the images were processed by earlier runs, 4,000 by this one; it did 50 images/s."]
    expected += ["13,500 instances were found, 1.5 per image that holds any."]
    expected += ["Score: median 0.7 to 0.75", "Longer side of the box: median 64 to 128 px"]
    expected += ["truncated 93 0.775 % cut off empty 7 0.0583 % zero bytes All failures 100 0.833 %"]
    expected += ["detect 1 min 20 s 4,000 50 images/s", "Stage Time Images Rate", "All stages 1 min 22 s"]
    expected += ["source s3://lake/images version 0.1.0"]
    for text in expected:
        assert text in words, text
    assert "never" not in words, "a reason that did not occur is no failure"


def test_page_needs_nothing_else_but_opens_the_files_beside_it() -> None:
    page = render_detect_page(BASE, PICTURES)
    outline = Outline(page)
    sources = [attributes["src"] for tag, attributes in outline.tags if tag == "img"]
    assert [base64.b64decode(str(source).split(",")[1]) for source in sources] == [
        *(jpeg for _, jpeg in BASE.overlays),
        *PICTURES.values(),
    ]
    kinds = [str(source).partition(";")[0] for source in sources]
    assert kinds == ["data:image/jpeg"] * 2 + ["data:image/png"] * 3
    links = [attributes for tag, attributes in outline.tags if "href" in attributes or tag == "a"]
    assert links == [{"href": "overlay-01.jpg"}, {"href": "overlay-02.jpg"}]
    assert {tag for tag, _ in outline.tags}.isdisjoint({"script", "link", "iframe", "object"})
    assert not re.search(r"url\(|@import|https?://", page)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page


def test_page_is_accessible() -> None:
    outline = Outline(render_detect_page(BASE, PICTURES))
    assert all(attributes.get("alt") for tag, attributes in outline.tags if tag == "img")
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        assert attributes.get("aria-labelledby") in {None, *ids}
    assert [tag for tag, _ in outline.tags].count("h1") == 1


def test_hostile_text_stays_text() -> None:
    report = make(
        title=HOSTILE,
        summary=HOSTILE,
        provenance={HOSTILE: HOSTILE},
        warnings=[HOSTILE],
        reasons=[Reason(HOSTILE, 100, HOSTILE)],
        stages=[Stage(HOSTILE, 1.0, 1)],
        overlays=[(HOSTILE, JPEG), ('" onerror="alert(1)', JPEG)],
    )
    files: dict[str, bytes] = {}
    write_detect_report(report, files.__setitem__)
    page = files["index.html"].decode()
    assert "<script" not in page
    outline = Outline(page)
    assert outline.words().count(HOSTILE) == 10
    assert all("onerror" not in attributes for _, attributes in outline.tags)
    assert "<script" not in detect_markdown(report)


def test_names_that_are_not_utf8_or_turn_the_text_are_spelled_out() -> None:
    report = make(
        overlays=[("bad\udcff.jpg", JPEG), ("evil\u202egpj.exe", JPEG), ("a\x00b\nc", JPEG), ("写真 é 👩‍🚀.jpg", JPEG)],
        warnings=["shard\udcfe.tar was skipped"],
    )
    files: dict[str, bytes] = {}
    write_detect_report(report, files.__setitem__)
    words = Outline(files["index.html"].decode()).words()
    for text in (r"bad\udcff.jpg", r"evil\u202egpj.exe", r"a\x00b\nc", "写真 é 👩‍🚀.jpg", r"shard\udcfe.tar"):
        assert text in words, text
    assert "shard\\\\udcfe.tar was skipped" in detect_markdown(report)


def test_files_are_handed_over_page_last() -> None:
    report = make(overlays=[(f"{i}.jpg", JPEG + bytes([i])) for i in range(120)])
    files: dict[str, bytes] = {}
    write_detect_report(report, files.__setitem__)
    names = list(files)
    assert names[:3] == ["scores.png", "sizes.png", "failures.png"]
    assert names[3:5] == ["overlay-001.jpg", "overlay-002.jpg"]
    assert names[-2:] == ["overlay-120.jpg", "index.html"]
    assert files["overlay-120.jpg"] == JPEG + bytes([119])
    page = files.pop("index.html").decode()
    for content in files.values():
        assert base64.b64encode(content).decode() in page


def test_every_picture_is_drawn_and_shows_its_numbers() -> None:
    pictures = draw_detect(BASE)
    assert list(pictures) == ["scores.png", "sizes.png", "failures.png"]
    for png in pictures.values():
        check_drawn(png)
    assert pictures == draw_detect(BASE), "equal reports give equal pictures"
    changed = draw_detect(
        make(
            scores=BASE.scores[::-1].copy(),
            sizes=np.roll(BASE.sizes, 1),
            reasons=[Reason("empty", 50, ""), Reason("truncated", 50, "")],
        )
    )
    for name, png in pictures.items():
        assert changed[name] != png, name


ONE = {**NO_IMAGES, "images": 1, "this_run": 1}
DEGENERATE: dict[str, tuple[dict[str, Any], str]] = {
    "no images": (NO_IMAGES, "The source held no image."),
    "no instances": (
        {"with_instances": 0, "without": 11_900, "instances": 0, "scores": NOTHING, "sizes": np.zeros(13, int)},
        "No instance was found.",
    ),
    "no scores and no boxes": ({"scores": np.zeros(20, int), "sizes": np.zeros(13, int)}, "13,500 instances"),
    "no failures": ({"failed": 0, "without": 3_000, "reasons": []}, "No image failed."),
    "no overlays": ({"overlays": []}, "13,500 instances"),
    "one bin": (
        {"scores": np.array([13_500]), "sizes": np.array([1]), "size_edges": np.array([64.0, 128.0])},
        "median 0 to 1. Longer side of the box: median 64 to 128 px",
    ),
    "one instance": (
        {**ONE, "with_instances": 1, "instances": 1, "scores": np.array([0, 1])},
        "1 instance was found, 1 per image",
    ),
    "one failure": ({**ONE, "failed": 1, "reasons": [Reason("empty", 1, "zero bytes")]}, "empty 1 100 %"),
    "huge boxes": ({"sizes": np.r_[np.zeros(12, int), 9]}, "median 2,048 px or more"),
    "tiny boxes": ({"sizes": np.r_[9, np.zeros(12, int)]}, "median 0 to 1 px"),
    "nothing left to do": ({"this_run": 0, "images_per_second": None}, "processed by earlier runs, none was left"),
    "all by this run": ({"this_run": 12_000}, "All images were processed by this run; it did 50 images/s."),
    "no speed": ({"images_per_second": math.nan}, "4,000 by this one."),
    "lake": (
        {
            "images": 10**12,
            "with_instances": 10**12 - 1,
            "without": 0,
            "failed": 1,
            "instances": 2 * 10**12,
            "scores": np.array([0, 2 * 10**12]),
            "reasons": [Reason("x" * 90 + "$y$", 1, "m" * 900)],
        },
        "1,000,000,000,000 images in = 999,999,999,999 with rows, > 99.9 % + 0 zero detections, 0 % + 1 failures",
    ),
    "many reasons": ({"reasons": [Reason(f"r{i:02}", 5, "why") for i in range(20)]}, "r00 5 0.0417 % why r01"),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_report_is_drawn_without_a_warning(case: str) -> None:
    changes, text = DEGENERATE[case]
    report = make(**changes)
    pictures = draw_detect(report)
    assert ("failures.png" in pictures) == bool(report.failed)
    for png in pictures.values():
        check_drawn(png)
    words = Outline(render_detect_page(report, pictures)).words()
    assert text in words
    assert ("Sample" in words) == bool(report.overlays)
    assert detect_markdown(report).startswith("## Faces")


def test_an_empty_part_below_the_threshold_stays_on_the_score_axis() -> None:
    image = decode(draw_detect(BASE)["scores.png"])
    blue = np.flatnonzero((np.abs(image.astype(int) - [0xA8, 0x63, 0x25]).max(axis=2) < 40).any(axis=0))
    assert blue.min() > 0.5 * image.shape[1], "scores start at one half"


def test_median_is_that_of_the_instances() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 1000):
        values = rng.beta(5, 2, n)
        counts, edges = np.histogram(values, np.linspace(0, 1, 17))
        found = median_bin(counts, edges)
        assert found is not None
        assert found[0] <= np.sort(values)[(n - 1) // 2] <= found[1]
    assert median_bin(np.zeros(3, int), np.arange(4.0)) is None


def test_reasons_are_ordered_by_count_then_code() -> None:
    report = make(reasons=[Reason("b", 25, ""), Reason("c", 50, ""), Reason("d", 0, ""), Reason("a", 25, "")])
    assert [reason.code for reason in ordered_reasons(report)] == ["c", "a", "b"]


def test_markdown_holds_account_and_reasons() -> None:
    text = detect_markdown(BASE)
    assert "| images in | = with rows | + zero detections | + failures |\n|--:|--:|--:|--:|\n" in text
    assert "| 12,000 | 9,000 | 2,900 | 100 |" in text
    assert "> **Warning:** 2 shards have changed." in text
    assert "| truncated | 93 | 0.775 % | cut off |\n| empty | 7 | 0.0583 % | zero bytes |" in text
    assert "| a\\|b c d | 100 |" in detect_markdown(make(reasons=[Reason("a|b\nc\rd", 100, "")]))


def test_the_modules_import_nothing_heavy() -> None:
    code = (
        "import sys, landmark_ops.report.detect.page, landmark_ops.report.markdown\n"
        "early = 'matplotlib' in sys.modules\n"
        "import landmark_ops.report.detect.pictures\n"
        "print(early, {'matplotlib.pyplot', 'dask', 'zarr', 'prefect', 'scipy', 'cv2', 'deltalake'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False set()"
