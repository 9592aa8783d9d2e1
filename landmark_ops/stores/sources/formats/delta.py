"""A Delta table from outside: the Parquet files of one of its versions."""

from __future__ import annotations

from landmark_ops.errors import InputError
from landmark_ops.stores.delta_log import LOG
from landmark_ops.stores.sources.format import SOURCES, Options, Place, SourceFormat
from landmark_ops.stores.sources.formats.parquet import of_one_column
from landmark_ops.stores.sources.rows import Rows


class DeltaFormat(SourceFormat):
    """A folder with a log, which says which of its files are rows."""

    name = "delta"
    title = "a Delta table"
    order = 20
    marks = (f"{LOG}/",)
    options = ("column", "columns", "version")

    def lies_at(self, place: Place) -> bool:
        """By its log."""
        return place.has_folder(LOG)

    def open_rows(self, uri: str, options: Options) -> Rows:
        """One version, the latest of now unless another is named: later commits do not change what is read.

        Raises `InputError` as `delta_source` does, and for tables without rows.
        """
        from landmark_ops.stores.sources.delta_source import delta_source
        from landmark_ops.stores.sources.parquet_rows import ParquetRows

        table = delta_source(uri, options.version)
        if not table.files:
            raise InputError(f"{uri}: version {table.version} of the Delta table holds no files: it has 0 rows")
        return ParquetRows(uri, column=options.column, columns=options.columns, table=table)

    def open_values(self, uri: str, options: Options) -> Rows:
        """A column of numbers."""
        return self.open_rows(uri, of_one_column(options))


SOURCES.register(DeltaFormat())
