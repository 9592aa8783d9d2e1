"""A range of rows, the unit of work of a pass, and of errors and progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class RowRange(NamedTuple):
    """The rows start..stop of a source, stop not among them."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many rows."""
        return self.stop - self.start

    def __str__(self) -> str:
        """As errors name it."""
        return f"rows {self.start}..{self.stop}"


Done = Callable[[RowRange], None]  # called with each range of a pass once it is done
