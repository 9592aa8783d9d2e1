"""The two kinds of failure a person can meet, and how their messages are built.

An `InputError` is a mistake in a config or in the data: the CLI prints its one line and exits with 2.
A `RunError` is a failure while running: the CLI prints its one line and exits with 1.
Secrets are masked when a message is made, since it will be printed, logged and stored.

The same thing has one name in a config file and another in Python. Code that raises an error writes a `Word`; the edge
that the error leaves by replaces it with the name used there:

    raise InputError(f"{Word.COUNT} is {count}, at least 1 is needed: raise {Word.COUNT}")

reads "landmarks.count is 0, ..." for a flow and "n_landmarks is 0, ..." for an estimator, whose methods are decorated
with `speaks(Edge.ESTIMATOR)`. `{Word.STRATEGY:uniform}` is a setting: "landmarks.strategy: uniform" in a config,
"selection='uniform'" in Python.
"""

from __future__ import annotations

import re
from contextlib import ContextDecorator
from enum import Enum
from types import UnionType
from typing import Any, NamedTuple

from landmark_ops.wording import mask


class Edge(Enum):
    """Where an error reaches a person; `TARGET` is the `target:` section of a config, which has a source's keys."""

    CONFIG = "config"
    TARGET = "target"
    ESTIMATOR = "estimator"
    CALL = "call"


class Wording(NamedTuple):
    """The names of one thing: of a config's key, an estimator's parameter, a function's argument."""

    config: str
    estimator: str
    call: str
    target: str | None = None  # where it differs from that of the config


class Word(Enum):
    """Things that have several names in messages."""

    COUNT = Wording("landmarks.count", "n_landmarks", "m")
    STRATEGY = Wording("landmarks.strategy", "selection", "strategy")
    SEED = Wording("landmarks.seed", "random_state", "random_state")
    TOLERANCE = Wording("landmarks.tolerance", "tolerance", "tolerance")
    ROW_NUMBERS = Wording("landmarks.indices", "selection", "indices")
    GIVEN_ROWS = Wording(
        "landmarks.strategy: given with landmarks.indices", "an array of row numbers as selection", "indices="
    )
    N_COMPONENTS = Wording("method.n_components", "n_components", "n_components")
    URI = Wording("source.uri", "the address", "uri", "target.uri")
    ARRAY = Wording("source.array", "array", "array", "target.array")
    COLUMN = Wording("source.column", "column", "column", "target.column")
    COLUMNS = Wording("source.columns", "columns", "columns", "target.column")
    VERSION = Wording("source.version", "version", "version")
    MISSING_CHUNKS = Wording("source.missing_chunks", "missing_chunks", "missing_chunks")  # a target's too
    TARGET = Wording("target", "y", "y")
    GIVE_TARGET = Wording("set target: {array: ...}", "pass y", "pass y")
    REGRESSION = Wording("task: regression", "a regressor, e.g. NystroemRidge", "a regressor, e.g. NystroemRidge")
    OR_LEAVE_OUT = Wording(", or set source.bad_rows: mark to learn from the other rows", "", "")
    OR_HOLD_LESS = Wording(", or lower target.held_out", "", "")
    SOURCE = Wording("source", "rows", "rows", "target")
    OR_MARK = Wording(
        ", or set source.bad_rows: mark to give such rows NaN coordinates", "", "", ", or set source.bad_rows: mark"
    )

    def __format__(self, setting: str) -> str:
        """A marker that `in_words_of` replaces; `setting` is a value that it is to be set to."""
        return f"{_OPEN}{self.name}:{setting}{_CLOSE}"


_OPEN, _CLOSE = "\ue000", "\ue001"  # private-use characters: no message holds them otherwise
_MARKER = re.compile(f"{_OPEN}([A-Z_]+):([^{_CLOSE}]*){_CLOSE}")


def in_words_of(message: str, edge: Edge) -> str:
    """A message as it reads at an edge. Text without `Word`s stays as it is."""

    def name(marker: re.Match[str]) -> str:
        wording: Wording = Word[marker[1]].value
        said: str = getattr(wording, edge.value)
        said = wording.config if said is None else said
        if not marker[2]:
            return said
        return f"{said}: {marker[2]}" if edge in (Edge.CONFIG, Edge.TARGET) else f"{said}={marker[2]!r}"

    return _MARKER.sub(name, message)


class LandmarkOpsError(Exception):
    """Base of every error raised on purpose by this package; in a config's words unless `speak` sets others."""

    def __init__(self, message: str = "") -> None:
        self.message = mask(message)
        super().__init__(in_words_of(self.message, Edge.CONFIG))

    def speak(self, edge: Edge) -> None:
        """Read in the words of `edge` from now on."""
        self.args = (in_words_of(self.message, edge),)

    def __reduce__(self) -> tuple[type[LandmarkOpsError], tuple[Any, ...]]:
        return type(self), (self.message,)


class InputError(LandmarkOpsError, ValueError):
    """A mistake in a config, an argument or the data: says what, got, limit and remedy in one line."""


class RunError(LandmarkOpsError, RuntimeError):
    """A valid run that could not be finished: a lost worker, a full disk, a vanished source."""


class BadRowsError(InputError):
    """Rows with NaN or Inf where none are allowed.

    `count` is the number of bad rows found, `first` the lowest global row index among them.
    """

    def __init__(self, count: int, first: int, n: int, where: str) -> None:
        self.count, self.first, self.n, self.where = count, first, n, where
        super().__init__(
            f"{where}: {count} of {n} rows hold NaN or Inf, the first is row {first}: clean the {Word.SOURCE}"
            f"{Word.OR_MARK}"
        )

    def __reduce__(self) -> tuple[type[BadRowsError], tuple[int, int, int, str]]:
        return BadRowsError, (self.count, self.first, self.n, self.where)


class speaks(ContextDecorator):
    """Errors that leave this context, or a function decorated with it, read in the words of `edge`."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, LandmarkOpsError):
            error.speak(self.edge)


class DamagedError(RunError):
    """Stored data differs from what was committed: a chunk is gone, a checksum or a hash differs."""


def check_argument(name: str, value: object, kind: type | UnionType, needed: str) -> None:
    """InputError where an argument is of another type; True and False are no numbers."""
    if isinstance(value, bool) or not isinstance(value, kind):
        got = value if isinstance(value, str | int | float) else type(value).__name__
        raise InputError(f"{name}={got!r}: needs {needed}")
