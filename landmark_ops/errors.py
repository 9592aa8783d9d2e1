"""The two kinds of failure a person can meet, and how their messages are built.

An `InputError` is a mistake in a config or in the data: the CLI prints its one line and exits with 2.
A `RunError` is a failure while running: the CLI prints its one line and exits with 1.
Whatever a message quotes, secrets inside it are masked as it is made: it will be printed, logged and stored.
"""

from __future__ import annotations

from landmark_ops.wording import mask


class LandmarkOpsError(Exception):
    """Base of every error raised on purpose by this package."""

    def __init__(self, message: str = "") -> None:
        super().__init__(mask(message))


class InputError(LandmarkOpsError, ValueError):
    """A mistake in a config, an argument or the data: says what, got, limit and remedy in one line."""


class RunError(LandmarkOpsError, RuntimeError):
    """A run that was well asked for and could not be finished: a lost worker, a full disk, a vanished source."""


class BadRowsError(InputError):
    """Rows with NaN or Inf where none are allowed.

    `count` is the number of bad rows found, `first` the lowest global row index among them.
    """

    def __init__(self, count: int, first: int, n: int, where: str) -> None:
        self.count, self.first, self.n, self.where = count, first, n, where
        super().__init__(
            f"{where}: {count} of {n} rows hold NaN or Inf, the first is row {first}: "
            "clean the source, or set source.bad_rows: mark to give such rows NaN coordinates"
        )

    def __reduce__(self) -> tuple[type[BadRowsError], tuple[int, int, int, str]]:
        return BadRowsError, (self.count, self.first, self.n, self.where)
