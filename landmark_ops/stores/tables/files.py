"""Files of tables as they are written: Parquet, every page with a checksum, under names that follow from the shard."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from landmark_ops.stores import locations
from landmark_ops.stores.tables.ledger import GENERATION
from landmark_ops.stores.tables.staged import File

STATISTICS = ("shard", "landmark_set", "model", "run_id")


def write_file(uri: str, path: str, table: pa.Table) -> File:
    """Write rows as one whole file at `uri`, which is `path` in its table."""
    sink = pa.BufferOutputStream()
    strings = [field.name for field in table.schema if pa.types.is_string(field.type)]
    pq.write_table(table, sink, compression="zstd", use_dictionary=strings, write_page_checksum=True)
    data = sink.getvalue().to_pybytes()
    locations.write_bytes(uri, data)
    return File(path, len(data), table.num_rows, bounds(table))


def bounds(table: pa.Table) -> dict[str, tuple[str, str]]:
    """Smallest and largest value of the columns that statistics are kept of: nothing about images or people."""
    found: dict[str, tuple[str, str]] = {}
    for name in STATISTICS:
        if name in table.column_names and table.num_rows and table.column(name).null_count == 0:
            ends = pc.min_max(table.column(name)).as_py()
            found[name] = (ends["min"], ends["max"])
    return found


def stored_schema(schema: pa.Schema) -> pa.Schema:
    """A table's columns as its files hold them: the generation is in the folder's name."""
    return pa.schema([field for field in schema if field.name != GENERATION])


def shard_key(shard: str) -> str:
    """The part of file names that identifies a shard: 32 hex digits."""
    return hashlib.sha256(shard.encode()).hexdigest()[:32]
