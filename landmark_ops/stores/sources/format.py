"""The formats that rows are stored in: what each is called, how it is recognised, which options it takes.

Each is one file of `formats/`, which imports the libraries it needs no sooner than something is opened with them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Literal, NamedTuple

from landmark_ops.registry import Registry
from landmark_ops.stores import locations
from landmark_ops.stores.sources.rows import Rows

MissingChunks = Literal["error", "fill"]


class Options(NamedTuple):
    """Options of a source beside its address; messages name each field by its `Word`."""

    array: str | None = None
    column: str | None = None
    columns: Sequence[str] | None = None
    missing_chunks: MissingChunks = "error"
    version: int | None = None

    def given(self) -> list[str]:
        """Names of those that are set to something else than their default."""
        return [name for name, default in self._field_defaults.items() if getattr(self, name) != default]


class Place:
    """A file or a folder in which a format looks for its marks; its listing is read once, when the first one asks."""

    def __init__(self, uri: str, *, is_file: bool) -> None:
        self.uri, self.is_file = uri, is_file

    @cached_property
    def children(self) -> list[locations.Child]:
        """What lies directly in it; nothing in a file."""
        return [] if self.is_file else locations.children(self.uri)

    def has_suffix(self, suffixes: tuple[str, ...]) -> bool:
        """Whether it is a file that is called so, in capitals or not."""
        return self.is_file and self.uri.lower().endswith(suffixes)

    def has_file(self, name: str) -> bool:
        """Whether it is a folder with a file of this name, which is asked for by itself."""
        return not self.is_file and locations.is_file(locations.join(self.uri, name))

    def has_folder(self, name: str) -> bool:
        """Whether it is a folder with a folder of this name, which is asked for by itself."""
        return not self.is_file and locations.is_folder(locations.join(self.uri, name))


class SourceFormat(ABC):
    """One format.

    Attributes
    ----------
    name, title
        What messages call it: in one word, and with its article.
    order
        Formats are asked in this order, lowest first, and the first that finds its marks opens the place. Those that
        know a place by one object of their own come before those that have to go through a listing.
    marks
        What it looks for in a folder, for messages.
    suffixes
        How its files end, in lower case; none where it is always a folder.
    options
        The fields of `Options` that it takes.
    """

    name: str
    title: str
    order: int
    marks: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @abstractmethod
    def lies_at(self, place: Place) -> bool:
        """Whether this format is there, by its marks alone: nothing of the data is read."""

    @abstractmethod
    def open_rows(self, uri: str, options: Options) -> Rows:
        """The rows at a normalised address. Raises `InputError` where they cannot be opened as such."""

    @abstractmethod
    def open_values(self, uri: str, options: Options) -> Rows:
        """One number per row as rows of one; of an array (n,) too, where the format has such."""


SOURCES: Registry[SourceFormat] = Registry("source format", "landmark_ops.stores.sources.formats")
