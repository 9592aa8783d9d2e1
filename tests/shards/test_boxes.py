"""Boxes by name, by position, as corners or with a size: each box below is x 10..30, y 20..60."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from landmark_ops.shards.boxes import NAMED, BoxForm, as_boxes, form_of, in_pixels, value_at

BOX = {"xyxy": (10, 20, 30, 60), "xywh": (10, 20, 20, 40), "cxcywh": (20, 40, 20, 40)}


@pytest.mark.parametrize(("names", "layout"), NAMED)
def test_names_say_what_the_numbers_are(names: tuple[str, ...], layout: str) -> None:
    named = dict(zip(names, BOX[layout], strict=True))
    for order in list(permutations(names))[::5]:  # whatever the order of the fields
        form = form_of(order, None, False)
        boxes = as_boxes([{name: named[name] for name in order} | {"score": 0.5}], form)
        np.testing.assert_array_equal(boxes, [[10, 20, 30, 60]])


@pytest.mark.parametrize("spelling", [str.upper, str.title, "{}_".format, lambda name: name.replace("min", "_min")])
def test_spelling_of_names(spelling: object) -> None:
    names = [spelling(name) for name in ("ymin", "xmin", "ymax", "xmax")]  # type: ignore[operator]
    form = form_of(names, None, False)
    assert as_boxes(dict(zip(names, (20, 10, 60, 30), strict=True)), form).tolist() == [[10, 20, 30, 60]]


def test_corners_win_over_sizes_of_the_picture() -> None:
    fields = {"width": 640, "height": 480, "xmin": 10, "ymin": 20, "xmax": 30, "ymax": 60}
    assert as_boxes([fields], form_of(list(fields), None, False)).tolist() == [[10, 20, 30, 60]]


@pytest.mark.parametrize(
    ("names", "layout", "message"),
    [
        (["a", "b", "c", "d"], None, "fields a, b, c, d do not name a box, such as x0, y0, x1, y1"),
        (["x", "y", "w"], None, "fields x, y, w do not name a box"),
        (["x0", "y0", "x1", "y1"], "xywh", "fields x0, y0, x1, y1 are xyxy, detector.boxes.layout says xywh"),
        (["cx", "cy", "w", "h"], "xyxy", "are cxcywh, detector.boxes.layout says xyxy"),
    ],
)
def test_names_that_make_no_box_or_another(names: list[str], layout: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        form_of(names, layout, False)  # type: ignore[arg-type]


def test_x_and_y_may_be_the_centre_where_said() -> None:
    box = dict(zip(("x", "y", "w", "h"), BOX["cxcywh"], strict=True))
    assert as_boxes([box], form_of(list(box), "cxcywh", False)).tolist() == [[10, 20, 30, 60]]


@pytest.mark.parametrize("layout", BOX)
def test_lists_by_layout(layout: str) -> None:
    form = BoxForm(layout)  # type: ignore[arg-type]
    four = list(BOX[layout])
    for value in (four, [four], [four] * 2):
        assert as_boxes(value, form)[0].tolist() == [10, 20, 30, 60]
    assert as_boxes(None, form).shape == as_boxes([], form).shape == (0, 4)


@pytest.mark.parametrize(
    ("value", "form", "message"),
    [
        ([30, 20, 10, 60], BoxForm(), "box 0 spans x 30..10, y 20..60"),
        ([[10, 20, 30, 60], [10, 20, 10, 60]], BoxForm(), "box 1 spans x 10..10"),
        ([10, 20, float("nan"), 60], BoxForm(), "box 0 spans x 10..nan"),
        ([10, 20, float("inf"), 60], BoxForm(), "box 0 spans x 10..inf"),
        ([10, 20, -5, 60], BoxForm("xywh"), "box 0 is -5 wide and 60 high"),
        ([10, 20, 0, 60], BoxForm("cxcywh"), "box 0 is 0 wide"),
        ([0.1, 0.2, 0.3, 0.6], BoxForm(), "within one pixel: set detector.boxes.relative"),
        ([10, 20, 30, 60], BoxForm("xyxy", True), "where 0..1 is the picture: detector.boxes.relative says so"),
        ([10, 20, 30], BoxForm(), "four numbers make a box"),
        ([{"x0": 1, "y0": None, "x1": 3, "y1": 4}], BoxForm(fields=("x0", "y0", "x1", "y1")), "four numbers"),
    ],
)
def test_what_is_no_box_is_refused(value: object, form: BoxForm, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_boxes(value, form)


def test_relative_boxes_are_shares_of_the_upright_picture() -> None:
    boxes = as_boxes([0.25, 0.5, 0.5, 0.25], BoxForm("xywh", True))
    np.testing.assert_allclose(in_pixels(boxes, 200, 100, True), [[50, 50, 150, 75]])


def test_values_inside_structs_and_lists_of_structs() -> None:
    assert value_at({"bbox": [1, 2]}, ["bbox"]) == [1, 2]
    assert value_at([{"bbox": [1, 2]}, None, {"bbox": [3, 4]}], ["bbox"]) == [[1, 2], None, [3, 4]]
    assert value_at(None, ["bbox"]) is None
