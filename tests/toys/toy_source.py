"""A source format: numbers as text, `<name>.numbers`, a row per line; `column` is the number of a target's column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.stores import locations
from landmark_ops.stores.sources.format import SOURCES, Options, Place, SourceFormat
from landmark_ops.stores.sources.rows import Rows, check_range


class TextRows(Rows):
    def __init__(self, uri: str, column: int | None = None) -> None:
        self.uri, self._column = uri, column
        self.n, self.d = self._load().shape
        self.dtype, self.row_shape, self.chunk_rows = np.dtype(np.float64), (self.d,), 1

    def _load(self) -> NDArray[Any]:
        table = np.loadtxt(self.uri, ndmin=2)
        return table if self._column is None else table[:, [self._column]]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        check_range(start, stop, self.n, self.uri)
        return np.ascontiguousarray(self._load()[start:stop])

    def fingerprint(self) -> str:
        return locations.digest("", [locations.stat(self.uri)])


class TextFormat(SourceFormat):
    name = "numbers"
    title = "a file of numbers"
    order = 100
    suffixes = (".numbers",)
    options = ("column",)

    def lies_at(self, place: Place) -> bool:
        return place.has_suffix(self.suffixes)

    def open_rows(self, uri: str, options: Options) -> Rows:
        return TextRows(uri, None if options.column is None else int(options.column))

    open_values = open_rows


SOURCES.register(TextFormat())
