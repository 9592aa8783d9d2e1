"""Tables as Delta tables: rows are claimed before they are committed, and each commit is made once.

    stage   a worker writes the shard's rows as one Parquet file per table, under names of their own, then claims the
            shard with one small object that names the files. The first claim wins; a second worker drops its own files
            and takes the winner's. From here on nothing is computed again.
    commit  the files are added to the tables, in order, the ledger last, each table in one commit for many shards,
            under an app transaction per shard, so doing it again adds nothing.
    clear   the claim is removed.

Because the claim fixes the rows, tables cannot disagree even where detection itself is not repeatable (a decoder that
timed out once). Between the first commit and the ledger's a reader may see rows of a shard that is not in the ledger
yet: join with `shards` to leave them out.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from landmark_ops.stores import locations
from landmark_ops.stores.tables import claims, delta_tables
from landmark_ops.stores.tables.checked_rows import CheckedRows, read_file
from landmark_ops.stores.tables.delta_tables import Addition, Changes, files_holding
from landmark_ops.stores.tables.files import shard_key
from landmark_ops.stores.tables.ledger import GENERATION, LEDGER
from landmark_ops.stores.tables.replacing import without
from landmark_ops.stores.tables.staged import PRIVATE, AppTransaction, File, Staged, from_json, to_json
from landmark_ops.stores.tables.store import TableStore


class DeltaStore(TableStore):
    """Delta tables, partitioned by generation."""

    def prepare(self, name: str) -> None:
        """Create the table where nothing is."""
        delta_tables.ensure(self.table_uri(name), self.schema(name), GENERATION)

    def in_ledger(self, mark: Staged) -> bool:
        """By the app transactions of the ledger."""
        return delta_tables.on_record(delta_tables.open_table(self.table_uri(LEDGER)), mark.transaction)

    def stage(self, mark: Staged, tables: Mapping[str, pa.Table]) -> Staged | None:
        """Write the files of tables with rows, and claim the shard."""
        name = f"{shard_key(mark.shard)}-{mark.round}-{uuid.uuid4().hex[:12]}.parquet"
        filled = {t: table for t, table in tables.items() if table.num_rows}
        mine = mark._replace(
            files={t: self.write_rows(t, table, mark.config_hash, name) for t, table in filled.items()}
        )
        winner = self._claim(mine)
        if winner != mine:
            for table, file in mine.files.items():
                locations.remove(locations.join(self.table_uri(table), file.path))
        return winner

    def _claim(self, mine: Staged) -> Staged | None:
        uri = self._claim_uri(mine)
        while True:
            try:
                winner = from_json(claims.claim(uri, to_json(mine)))
            except FileNotFoundError:
                winner = None
            except (ValueError, KeyError, TypeError):  # left in part by a crash, where there are no hard links
                locations.remove(uri)
                continue
            # A claim is removed after the ledger's commit: where it is missing, or was free to take, look there.
            if (winner is None or winner == mine) and self.in_ledger(mine):
                if winner == mine:
                    locations.remove(uri)
                return None
            if winner is not None:
                return winner

    def commit(self, batch: Sequence[Staged]) -> None:
        """One commit per table, then the claims go."""
        by_transaction = {one.transaction: one for one in batch}
        for name in self.schemas:
            self._add(name, {one.transaction: one for one in batch if name in one.files or one.replaces})
        delta_tables.add_once(
            self.table_uri(LEDGER),
            list(by_transaction),
            lambda _, missing: Changes(self._ledger_additions([by_transaction[one] for one in missing]), []),
        )
        for one in batch:
            locations.remove(self._claim_uri(one))

    def _add(self, name: str, staged: Mapping[AppTransaction, Staged]) -> None:
        """Add the shards' files to a table, and take out what they replace, in one commit."""

        def changes(table: DeltaTable, missing: list[AppTransaction]) -> Changes:
            these = [staged[transaction] for transaction in missing]
            added = [_addition(one.config_hash, one.files[name]) for one in these if name in one.files]
            removed: list[str] = []
            for config_hash in {one.config_hash for one in these if one.replaces}:
                replaced = [old for one in these if one.config_hash == config_hash for old in one.replaces]
                for path in files_holding(table, (GENERATION, config_hash), [old.shard for old in replaced]):
                    held = read_file(locations.join(self.table_uri(name), unquote(path)))
                    kept = without(held, replaced)
                    if kept.num_rows == held.num_rows:
                        continue
                    removed.append(path)
                    if kept.num_rows:
                        file = self.write_rows(name, kept, config_hash, f"{uuid.uuid4().hex}.parquet")
                        added.append(_addition(config_hash, file))
            return Changes(added, removed)

        if staged:
            delta_tables.add_once(self.table_uri(name), list(staged), changes)

    def _ledger_additions(self, staged: Sequence[Staged]) -> list[Addition]:
        additions = []
        for config_hash in sorted({one.config_hash for one in staged}):
            part = [one for one in staged if one.config_hash == config_hash]
            additions.append(_addition(config_hash, self.write_ledger(part, f"{uuid.uuid4().hex}.parquet")))
        return additions

    def unfinished(self) -> list[Staged]:
        """By the claims: one listing where there are none. Damaged ones, and those whose files are not whole, go."""
        folder = locations.join(self.uri, PRIVATE, "claims")
        if not locations.is_folder(folder):
            return []
        whole: list[Staged] = []
        for item in locations.list_objects(folder):
            uri = locations.join(folder, item.key)
            if not item.key.endswith(".json"):
                locations.remove(uri)  # a claim cut short by a crash
                continue
            try:
                staged = from_json(locations.read_bytes(uri))
                whole.append(staged) if self._files_are_whole(staged) else locations.remove(uri)
            except FileNotFoundError:
                continue  # another run has finished it just now
            except (ValueError, KeyError, TypeError):
                locations.remove(uri)
        return whole

    def rows_of(self, name: str, config_hash: str, shard: str, before: int) -> pa.Table:
        """All rows of the shard: an incomplete round is in no table, or its claim has been committed."""
        wanted = (pc.field(GENERATION) == config_hash) & (pc.field("shard") == shard)
        schema = self.schema(name)
        return self.dataset(name).to_table(filter=wanted).select(schema.names).cast(schema)

    def dataset(self, name: str) -> CheckedRows:
        """The latest version of a table."""
        uri = self.table_uri(name)
        return CheckedRows(uri, delta_tables.open_table(uri).to_pyarrow_dataset())

    def _claim_uri(self, staged: Staged) -> str:
        name = f"{shard_key(staged.shard)}-{staged.round}.json"
        return locations.join(self.uri, PRIVATE, "claims", staged.config_hash, name)

    def _files_are_whole(self, staged: Staged) -> bool:
        try:
            return all(
                locations.stat(locations.join(self.table_uri(name), file.path)).size == file.size
                for name, file in staged.files.items()
            )
        except FileNotFoundError:
            return False


def _addition(config_hash: str, file: File) -> Addition:
    return Addition(file.path, file.size, file.rows, {GENERATION: config_hash}, file.bounds)
