"""The interface of stored tables of a detection run, in any format, as `TableSet` uses it.

Rows arrive by shard and round. `stage` is run by any worker and leaves them where no reader counts them as complete;
`commit` is run by one process for many shards, and writes the ledger last. What is in the ledger is complete.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import pyarrow as pa

from landmark_ops.stores import locations
from landmark_ops.stores.tables.checked_rows import CheckedRows
from landmark_ops.stores.tables.files import write_file
from landmark_ops.stores.tables.ledger import GENERATION, LEDGER, LEDGER_SCHEMA, ledger_rows
from landmark_ops.stores.tables.staged import File, Staged


class TableStore(ABC):
    """Tables of given schemas at `uri`, committed in the order given, and their ledger."""

    def __init__(self, uri: str, schemas: Mapping[str, pa.Schema]) -> None:
        self.uri, self.schemas = uri, dict(schemas)

    def table_uri(self, name: str) -> str:
        """Address of a table."""
        return locations.join(self.uri, name)

    def schema(self, name: str) -> pa.Schema:
        """The columns of a table, or of the ledger."""
        return LEDGER_SCHEMA if name == LEDGER else self.schemas[name]

    @abstractmethod
    def prepare(self, name: str) -> None:
        """Create a table where nothing is; `InputError` where it has other columns, or something else is there."""

    @abstractmethod
    def in_ledger(self, mark: Staged) -> bool:
        """Whether this round of a shard is complete."""

    @abstractmethod
    def stage(self, mark: Staged, tables: Mapping[str, pa.Table]) -> Staged | None:
        """Write a shard's rows where `commit` will find them; None where the round was completed meanwhile.

        May be run twice, also at once: the result may be what another worker staged first.
        """

    @abstractmethod
    def commit(self, batch: Sequence[Staged]) -> None:
        """Bring staged shards, each once, into the tables and into the ledger."""

    @abstractmethod
    def unfinished(self) -> list[Staged]:
        """Shards that an earlier run staged completely and did not commit."""

    @abstractmethod
    def rows_of(self, name: str, config_hash: str, shard: str, before: int) -> pa.Table:
        """The rows of a shard that are complete, those of rounds lower than `before`, as they were handed in."""

    @abstractmethod
    def dataset(self, name: str) -> CheckedRows:
        """A table as it is now, for reading."""

    def write_rows(self, name: str, table: pa.Table, config_hash: str, file: str) -> File:
        """Write a file of a table whole; `table` is without the generation, which the folder's name says."""
        path = f"{GENERATION}={config_hash}/{file}"
        return write_file(locations.join(self.table_uri(name), path), path, table)

    def write_ledger(self, staged: Sequence[Staged], file: str) -> File:
        """Write the results of shards of one generation."""
        return self.write_rows(LEDGER, ledger_rows(staged, tuple(self.schemas)), staged[0].config_hash, file)
