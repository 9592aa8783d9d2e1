"""The tables of a detection run against their log and their ledger: every file and page read, every row counted."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from landmark_ops.errors import RunError
from landmark_ops.stores.damage import Damage
from landmark_ops.stores.faults import storage_failed
from landmark_ops.stores.locations import children, is_folder, join, list_objects, read_bytes
from landmark_ops.stores.tables.format import format_of
from landmark_ops.stores.tables.ledger import LEDGER
from landmark_ops.wording import one_line


def is_tables(uri: str) -> bool:
    """Whether the tables of a detection run lie at an address."""
    return is_folder(uri) and {LEDGER, "keypoints"} <= {child.name for child in children(uri) if child.is_folder}


def verify_tables(uri: str) -> tuple[int, list[Damage]]:
    """Number of files read, and what is damaged among them: absent, of another size or count, or unreadable.

    Pages are read against their checksums. The rows of each table are compared with what the ledger says.
    """
    files, damages, counted = 0, list[Damage](), dict[str, int]()
    ledger: list[pa.Table] = []
    for name in sorted(child.name for child in children(uri) if child.is_folder and not child.name.startswith("_")):
        place = join(uri, name)
        if (form := format_of(place)) is None:
            continue
        try:
            listed = list(form.files(place))
        except RunError as error:
            if error.__cause__ is not None and storage_failed(error.__cause__):
                raise
            damages.append(Damage(name, join(name, form.metadata), f"cannot be read: {one_line(error, 160)}"))
            continue
        if not listed:
            continue
        sizes = {found.key: found.size for found in list_objects(place)}
        for path, size, rows in listed:
            files += 1
            what = _wrong_size(path, size, sizes)
            try:
                found, table = (0, None) if what else _read(join(place, path), "rows" if name == LEDGER else None)
            except (OSError, ValueError, pa.ArrowException) as error:
                if storage_failed(error):
                    raise
                what = f"cannot be read: {one_line(error, 160)}"
            if not what and rows is not None and found != rows:
                what = f"holds {found:,} rows instead of {rows:,}"
            if what:
                damages.append(Damage(name, f"{name}/{path}", what))
                continue
            counted[name] = counted.get(name, 0) + found
            if table is not None:
                ledger.append(table)
    expected: dict[str, int] = {}
    for table in ledger:
        for row in table.column("rows").to_pylist():
            for name, count in row:
                expected[name] = expected.get(name, 0) + count
    broken = {damage.array for damage in damages}
    for name in sorted(expected.keys() - broken):
        if LEDGER not in broken and counted.get(name, 0) < expected[name]:
            what = f"holds {counted.get(name, 0):,} rows, its ledger says {expected[name]:,}"
            damages.append(Damage(name, name, what))
    return files, damages


def _wrong_size(path: str, size: int | None, sizes: dict[str, int]) -> str:
    if path not in sizes:
        return "is missing"
    return "" if size in (None, sizes[path]) else f"has {sizes[path]:,} bytes instead of {size:,}"


def _read(uri: str, column: str | None) -> tuple[int, pa.Table | None]:
    """The rows of a file all of whose pages were read, and its `column`, if any is asked for."""
    file = pq.ParquetFile(io.BytesIO(read_bytes(uri)), page_checksum_verification=True)
    kept = []
    for group in range(file.num_row_groups):
        table = file.read_row_group(group)
        table.validate(full=True)
        if column is not None:
            kept.append(table.select([column]))
    return file.metadata.num_rows, pa.concat_tables(kept) if kept else None
