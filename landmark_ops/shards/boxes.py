"""Boxes of one's own as a column holds them: by name or by position, as corners or with a size, in pixels or relative.

A box that is out of order, empty, not finite or in another unit is refused by name; nothing is swapped, clipped or
guessed. Whether a box meets its picture is checked later, when the picture's size is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

BoxLayout = Literal["xyxy", "xywh", "cxcywh"]

_CORNERS = (
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("left", "top", "right", "bottom"),
    ("xtl", "ytl", "xbr", "ybr"),
)
_STARTS = (("x", "y"), ("x0", "y0"), ("x1", "y1"), ("xmin", "ymin"), ("left", "top"), ("xtl", "ytl"))
_CENTRES = (("cx", "cy"), ("xc", "yc"), ("xcenter", "ycenter"), ("centerx", "centery"), ("xcentre", "ycentre"))
_SIZES = (("w", "h"), ("width", "height"))
#: Names that make a box, without their underscores and in small letters, and what they mean; the first that fit count.
NAMED: tuple[tuple[tuple[str, ...], BoxLayout], ...] = (
    *((names, "xyxy") for names in _CORNERS),
    *(((*start, *size), "xywh") for start, size in product(_STARTS, _SIZES)),
    *(((*centre, *size), "cxcywh") for centre, size in product(_CENTRES, _SIZES)),
)
#: Top left corner or centre: the one pair of names that is used for both, so `layout` may say.
_EITHER = tuple(("x", "y", *size) for size in _SIZES)


class BoxForm(NamedTuple):
    """How a column holds boxes.

    layout: what four numbers are; None: corners, or as names say. relative: in shares of the picture's sides.
    fields: the names of the four numbers in structs, in the order of `layout`; None for lists.
    """

    layout: BoxLayout = "xyxy"
    relative: bool = False
    fields: tuple[str, ...] | None = None


def form_of(names: Sequence[str] | None, layout: BoxLayout | None, relative: bool) -> BoxForm:
    """The form of boxes that are structs with fields of these names, or lists where None.

    Raises ValueError where the names make no box, or another one than `layout` says.
    """
    if names is None:
        return BoxForm(layout or "xyxy", relative)
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in names}
    for wanted, means in NAMED:
        if set(wanted) <= plain.keys():
            if layout not in (None, means) and not (wanted in _EITHER and layout == "cxcywh"):
                raise ValueError(f"fields {', '.join(names)} are {means}, detector.boxes.layout says {layout}")
            return BoxForm(layout or means, relative, tuple(plain[name] for name in wanted))
    raise ValueError(
        f"fields {', '.join(names)} do not name a box, such as x0, y0, x1, y1 or xmin, ymin, xmax, ymax or "
        "x, y, width, height"
    )


def as_boxes(value: Any, form: BoxForm) -> NDArray[np.float64]:
    """Boxes of one image as (n, 4) x0, y0, x1, y1, in pixels or relative as they are.

    `value`: None, four numbers or a struct, or a list of either. Raises ValueError saying what is wrong.
    """
    rows = [] if value is None else [value] if isinstance(value, dict) else list(value)
    if rows and not isinstance(rows[0], (list, dict, type(None))):
        rows = [rows]
    fours = [_four(at, row, form) for at, row in enumerate(rows)]
    boxes = np.asarray(fours, np.float64).reshape(-1, 4).copy()
    if form.layout != "xyxy":
        bad = (boxes[:, 2:] <= 0).any(1)
        if bad.any():
            at = int(np.argmax(bad))
            raise ValueError(f"box {at} is {boxes[at, 2]:g} wide and {boxes[at, 3]:g} high")
        if form.layout == "cxcywh":
            boxes[:, :2] -= boxes[:, 2:] / 2
        boxes[:, 2:] += boxes[:, :2]
    bad = ~np.isfinite(boxes).all(1) | (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    if bad.any():
        raise ValueError(span_of(boxes, int(np.argmax(bad))))
    unit = (np.abs(boxes) <= 1).all(1)
    if not form.relative and unit.any():
        at = int(np.argmax(unit))
        raise ValueError(f"{span_of(boxes, at)}, within one pixel: set detector.boxes.relative if 0..1 is the picture")
    if form.relative and (np.abs(boxes - 0.5) > 1.5).any():
        at = int(np.argmax((np.abs(boxes - 0.5) > 1.5).any(1)))
        raise ValueError(f"{span_of(boxes, at)}, where 0..1 is the picture: detector.boxes.relative says so")
    return boxes


def value_at(value: Any, names: Sequence[str]) -> Any:
    """The value at the path `names` inside structs; inside a list of structs, the list of such values."""
    for name in names:
        if isinstance(value, list):
            value = [None if item is None else item.get(name) for item in value]
        elif value is not None:
            value = value.get(name)
    return value


def in_pixels(boxes: NDArray[np.float64], width: int, height: int, relative: bool) -> NDArray[np.float64]:
    """Boxes (n, 4), in shares of the upright picture's sides if `relative`, in its pixels."""
    return boxes * [width, height, width, height] if relative else boxes


def _four(at: int, row: Any, form: BoxForm) -> list[float]:
    if isinstance(row, dict):
        row = [row.get(name) for name in form.fields or ()]
    if row is None or len(row) != 4 or any(number is None for number in row):
        raise ValueError(f"box {at} is {row}, four numbers make a box")
    return list(row)


def span_of(boxes: NDArray[np.float64], at: int) -> str:
    """A box in words, for messages."""
    x0, y0, x1, y1 = boxes[at]
    return f"box {at} spans x {x0:g}..{x1:g}, y {y0:g}..{y1:g}"
