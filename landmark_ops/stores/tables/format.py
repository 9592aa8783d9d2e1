"""The formats that tables are kept in, one file each in `formats/`; which of them lies at an address."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from landmark_ops.registry import Registry

if TYPE_CHECKING:  # configs know the names of formats, and import nothing that reads or writes one
    import pyarrow as pa

    from landmark_ops.stores.tables.store import TableStore


class TableFile(NamedTuple):
    """A file of a table by its path in it; size and rows where the table itself says them."""

    path: str
    size: int | None = None
    rows: int | None = None


class TableFormat(ABC):
    """One format.

    Attributes
    ----------
    name
        How a config's `output.format` says it.
    order
        Formats are asked in this order, lowest first, whether a table is theirs.
    metadata
        What in a table's folder says which files are its own; empty where nothing does.
    """

    name: str
    order: int
    metadata: str = ""

    @abstractmethod
    def store(self, uri: str, schemas: Mapping[str, pa.Schema]) -> TableStore:
        """Tables of these schemas at an address, whether or not they are there."""

    @abstractmethod
    def lies_at(self, uri: str) -> bool:
        """Whether one table, of whatever columns, may lie at an address in this format, by its marks."""

    @abstractmethod
    def files(self, uri: str) -> Iterator[TableFile]:
        """The files that are a table, as the table itself says. Raises RunError where it cannot."""


TABLES: Registry[TableFormat] = Registry("table format", "landmark_ops.stores.tables.formats")


def format_of(uri: str) -> TableFormat | None:
    """The format of the table at an address; None where there is none."""
    return next((one for one in sorted(TABLES, key=lambda one: one.order) if one.lies_at(uri)), None)
