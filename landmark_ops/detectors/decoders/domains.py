"""Which values a parameter of a decoder may have, and the parameters that decoders share."""

from __future__ import annotations

import math
from typing import NamedTuple


class Domain(NamedTuple):
    """One parameter: what it is, in words; numbers from low to high; how deep its lists are; words to choose from."""

    what: str
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    depth: int = 0
    words: tuple[str, ...] = ()
    flag: bool = False
    required: bool = False

    @property
    def valid(self) -> str:
        """The valid values, in words."""
        return f"one of {', '.join(self.words)}" if self.words else self.what

    def __contains__(self, value: object) -> bool:
        return self._holds(value, self.depth)

    def _holds(self, value: object, depth: int) -> bool:
        if depth:
            return isinstance(value, list | tuple) and bool(value) and all(self._holds(v, depth - 1) for v in value)
        if self.words:
            return value in self.words
        if self.flag or isinstance(value, bool):
            return self.flag and isinstance(value, bool)
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        return math.isfinite(value) and (not self.whole or value == int(value))


def required(domain: Domain) -> Domain:
    """The same, and a spec has to give it."""
    return domain._replace(required=True)


SHARE = Domain("a number from 0 to 1", 0, 1)
COUNT = Domain("a whole number from 1", 1, whole=True)
POSITIVE = Domain("a number above 0", math.nextafter(0, 1))
NUMBER = Domain("a number")
NUMBERS = Domain("a list of numbers", depth=1)
COUNTS = Domain("a list of whole numbers from 1", 1, whole=True, depth=1)
FLAG = Domain("true or false", flag=True)
PIXELS = Domain("pixels from 1", 1)

_SAMPLED = {"bilinear_up_to": Domain("a minification from 0", 0)}
#: Parameters of every finder, and of nets that refine its boxes.
FINDS = {"score_threshold": required(SHARE), "nms_iou": required(SHARE), **_SAMPLED}
#: Parameters of finders whose nets may take images of any size.
ANY_SIZE = {"max_side": PIXELS}
#: Of every locator.
LOCATES = {"points": COUNT, **_SAMPLED}
#: Parameters of locators whose net says whether the crop holds its subject.
PRESENCE = {"presence_threshold": SHARE}
#: Parameters of locators whose net may count from a pixel's edge or its centre.
PIXEL_OFFSET = {"pixel_offset": NUMBER}
