"""A Parquet file, or a folder of them at any depth."""

from __future__ import annotations

from landmark_ops.stores import locations
from landmark_ops.stores.sources.format import SOURCES, Options, Place, SourceFormat
from landmark_ops.stores.sources.parquet_files import SUFFIXES, is_hidden
from landmark_ops.stores.sources.rows import Rows


class ParquetFormat(SourceFormat):
    """Files of columns."""

    name = "parquet"
    title = "a Parquet file or a folder of them"
    order = 40
    marks = ("*.parquet",)
    suffixes = SUFFIXES
    options = ("column", "columns")

    def lies_at(self, place: Place) -> bool:
        """By the names of files: at once, or where the first branch of partition folders (`key=value/`) ends."""
        return place.has_suffix(SUFFIXES) or _holds_parquet(place.uri, place.children)

    def open_rows(self, uri: str, options: Options) -> Rows:
        """One column of vectors, or several of numbers."""
        from landmark_ops.stores.sources.parquet_rows import ParquetRows

        return ParquetRows(uri, column=options.column, columns=options.columns)

    def open_values(self, uri: str, options: Options) -> Rows:
        """A column of numbers."""
        return self.open_rows(uri, of_one_column(options))


def of_one_column(options: Options) -> Options:
    """The options by which a table's column of numbers is opened as rows of one."""
    return Options(columns=None if options.column is None else [options.column], version=options.version)


def _holds_parquet(uri: str, listed: list[locations.Child]) -> bool:
    if any(child.name.lower().endswith(SUFFIXES) for child in listed):
        return True
    for child in listed:
        if child.is_folder and not is_hidden(child.name):
            below = locations.join(uri, child.name)
            if _holds_parquet(below, locations.children(below)):
                return True
    return False


SOURCES.register(ParquetFormat())
