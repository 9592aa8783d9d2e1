"""Folders of Parquet files: for readers that know no Delta. One run at a time writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from landmark_ops.stores.locations import is_folder, list_objects
from landmark_ops.stores.tables.format import TABLES, TableFile, TableFormat

if TYPE_CHECKING:
    import pyarrow as pa

    from landmark_ops.stores.tables.store import TableStore


class ParquetFormat(TableFormat):
    """Folders without a log."""

    name = "parquet"
    order = 20

    def store(self, uri: str, schemas: Mapping[str, pa.Schema]) -> TableStore:
        """Folders of files at an address."""
        from landmark_ops.stores.tables.parquet_store import ParquetStore

        return ParquetStore(uri, schemas)

    def lies_at(self, uri: str) -> bool:
        """Any folder may hold files."""
        return is_folder(uri)

    def files(self, uri: str) -> Iterator[TableFile]:
        """Those in the folder."""
        return (TableFile(found.key) for found in list_objects(uri) if found.key.endswith(".parquet"))


TABLES.register(ParquetFormat())
