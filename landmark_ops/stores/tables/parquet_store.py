"""Tables as folders of Parquet files, without transactions.

Files get names that follow from shard and round, each written whole, the ledger's last, and a rerun writes the same
names again. That is exactly once for one run at a time, which the output's lock sees to. A round that takes rows out of
files of earlier ones is noted before the first is touched, so that the next run can finish it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake.schema import Schema

from landmark_ops.errors import InputError
from landmark_ops.stores import locations
from landmark_ops.stores.delta_log import is_delta
from landmark_ops.stores.tables import delta_tables
from landmark_ops.stores.tables.checked_rows import CheckedRows, read_file
from landmark_ops.stores.tables.files import shard_key, stored_schema
from landmark_ops.stores.tables.ledger import GENERATION, LEDGER
from landmark_ops.stores.tables.replacing import without
from landmark_ops.stores.tables.staged import PRIVATE, Staged, from_json, to_json
from landmark_ops.stores.tables.store import TableStore

REPLACING = "replacing"


class ParquetStore(TableStore):
    """Folders of files, one folder per generation in each."""

    def prepare(self, name: str) -> None:
        """The folder may be missing; any files in it must be ours."""
        uri = self.table_uri(name)
        if not locations.exists(uri):
            return
        if is_delta(uri):
            raise InputError(
                f"output {uri}: holds a Delta table: set output.format: delta, or choose another output.uri"
            )
        names = [item.key for item in locations.list_objects(uri) if not item.key.rpartition("/")[2].startswith(".")]
        if not all(name.startswith(f"{GENERATION}=") and name.endswith(".parquet") for name in names):
            raise InputError(
                f"output {uri}: holds something that is no table of ours and is never overwritten: choose another "
                "output.uri, or move it away"
            )
        if names:
            with locations.open_binary(locations.join(uri, names[0])) as file:
                found = pq.read_schema(file)
            # Types by Delta's names: Arrow's distinguish types that files do not.
            forms = (found, stored_schema(self.schema(name)))
            columns = [delta_tables.columns_of(Schema.from_arrow(form)) for form in forms]
            delta_tables.check_columns(uri, *columns)

    def in_ledger(self, mark: Staged) -> bool:
        """By the name of the ledger's file."""
        path = f"{GENERATION}={mark.config_hash}/{_file_name(mark.shard, mark.round)}"
        return locations.is_file(locations.join(self.table_uri(LEDGER), path))

    def stage(self, mark: Staged, tables: Mapping[str, pa.Table]) -> Staged | None:
        """Write the files, also those without rows, in their place."""
        name = _file_name(mark.shard, mark.round)
        return mark._replace(
            files={t: self.write_rows(t, table, mark.config_hash, name) for t, table in tables.items()}
        )

    def commit(self, batch: Sequence[Staged]) -> None:
        """Shard by shard: what it replaces goes from the files of earlier rounds, then its ledger is written."""
        for one in batch:
            name = _file_name(one.shard, one.round)
            if one.replaces:
                locations.write_bytes(self._note(one), to_json(one))
            self._drop_replaced(one)
            self.write_ledger([one], name)
            if one.replaces:
                locations.remove(self._note(one))

    def _note(self, one: Staged) -> str:
        name = f"{shard_key(one.shard)}-{one.round}.json"
        return locations.join(self.uri, PRIVATE, REPLACING, one.config_hash, name)

    def _drop_replaced(self, staged: Staged) -> None:
        for name in self.schemas:
            for old in staged.replaces:
                for uri in self._files_of(name, staged.config_hash, old.shard, old.round + 1):
                    held = read_file(uri)
                    kept = without(held, [old])
                    if kept.num_rows < held.num_rows:
                        self.write_rows(name, kept, staged.config_hash, uri.rpartition("/")[2])

    def unfinished(self) -> list[Staged]:
        """Rounds that had begun to take rows out; what else was not committed is written again under the same names."""
        folder = locations.join(self.uri, PRIVATE, REPLACING)
        if not locations.is_folder(folder):
            return []
        notes = [locations.join(folder, item.key) for item in locations.list_objects(folder)]
        return [from_json(locations.read_bytes(note)) for note in notes if note.endswith(".json")]

    def rows_of(self, name: str, config_hash: str, shard: str, before: int) -> pa.Table:
        """From the files of those rounds."""
        schema = self.schema(name)
        parts = [read_file(file) for file in self._files_of(name, config_hash, shard, before)]
        stored = pa.concat_tables(parts) if parts else stored_schema(schema).empty_table()
        generation = pa.repeat(pa.scalar(config_hash, pa.string()), stored.num_rows)
        return stored.append_column(GENERATION, generation).select(schema.names).cast(schema)

    def _files_of(self, name: str, config_hash: str, shard: str, before: int) -> list[str]:
        """The files of a shard in rounds lower than `before`."""
        folder = locations.join(self.table_uri(name), f"{GENERATION}={config_hash}")
        files = [locations.join(folder, _file_name(shard, round)) for round in range(1, before)]
        return [file for file in files if locations.is_file(file)]

    def dataset(self, name: str) -> CheckedRows:
        """The files as they are now; no rows where there is no folder yet."""
        uri, schema = self.table_uri(name), self.schema(name)
        if not locations.is_folder(uri):
            return CheckedRows(uri, ds.dataset(schema.empty_table()))
        fs, path = locations.filesystem(uri) if locations.is_remote(uri) else (None, uri)
        generation = ds.partitioning(pa.schema([(GENERATION, pa.string())]), flavor="hive")
        form = ds.dataset(path, schema=schema, format="parquet", filesystem=fs, partitioning=generation)
        return CheckedRows(uri, form)


def _file_name(shard: str, round: int) -> str:
    return f"{shard_key(shard)}-{round}.parquet"
