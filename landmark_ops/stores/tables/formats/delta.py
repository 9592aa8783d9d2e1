"""Delta tables: transactions, so that any number of runs and workers may write, and readers see whole commits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from landmark_ops.stores.delta_log import LOG, is_delta
from landmark_ops.stores.tables.format import TABLES, TableFile, TableFormat

if TYPE_CHECKING:
    import pyarrow as pa

    from landmark_ops.stores.tables.store import TableStore


class DeltaFormat(TableFormat):
    """Folders with a log."""

    name = "delta"
    order = 10
    metadata = LOG

    def store(self, uri: str, schemas: Mapping[str, pa.Schema]) -> TableStore:
        """Delta tables at an address."""
        from landmark_ops.stores.tables.delta_store import DeltaStore

        return DeltaStore(uri, schemas)

    def lies_at(self, uri: str) -> bool:
        """By the log."""
        return is_delta(uri)

    def files(self, uri: str) -> Iterator[TableFile]:
        """Those that the log's latest version names."""
        import pyarrow as pa

        from landmark_ops.stores.tables import delta_tables

        actions = pa.table(delta_tables.open_table(uri).get_add_actions(flatten=True))
        for action in actions.to_pylist():
            yield TableFile(unquote(action["path"]), action["size_bytes"], action["num_records"])


TABLES.register(DeltaFormat())
