"""Opens whatever is named or handed over as `Rows`: by what lies at an address, or by what kind of object it is."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, Word
from landmark_ops.stores import locations
from landmark_ops.stores.sources.parquet_files import SUFFIXES, is_hidden
from landmark_ops.stores.sources.rows import ArrayRows, Rows, check_exact

Kind = Literal["zarr", "npy", "parquet", "delta"]

_OPTIONS: dict[Kind, tuple[str, ...]] = {
    "zarr": ("array", "missing_chunks"),
    "npy": (),
    "parquet": ("column", "columns"),
    "delta": ("column", "columns"),
}
_WORDS = {
    "array": Word.ARRAY,
    "column": Word.COLUMN,
    "columns": Word.COLUMNS,
    "missing_chunks": Word.MISSING_CHUNKS,
}


def open_rows(
    uri: str | os.PathLike[str],
    *,
    array: str | None = None,
    column: str | None = None,
    columns: Sequence[str] | None = None,
    missing_chunks: Literal["error", "fill"] = "error",
) -> Rows:
    """Open a source by its address: Zarr v2/v3, .npy, Parquet (file or folder) or Delta; local or s3://.

    Raises `InputError` where nothing is there, it may not be read, it is of no known kind, or an option does not fit
    its kind.
    """
    address = locations.normalise(uri)
    with locations.opening(address):
        kind = source_kind(address)
    given = {
        "array": array is not None,
        "column": column is not None,
        "columns": columns is not None,
        "missing_chunks": missing_chunks != "error",
    }
    unfit = [name for name, is_given in given.items() if is_given and name not in _OPTIONS[kind]]
    if unfit:
        fitting = ", ".join(_OPTIONS[kind]) or "none"
        raise InputError(
            f"{address}: is a {kind} source, {_WORDS[unfit[0]]} does not apply to it: leave it out (options that do: "
            f"{fitting})"
        )
    if kind == "zarr":
        from landmark_ops.stores.sources.zarr_sparse import open_zarr

        return open_zarr(address, array, missing_chunks=missing_chunks)
    if kind == "npy":
        from landmark_ops.stores.sources.npy_rows import NpyRows

        return NpyRows(address)
    from landmark_ops.stores.sources.parquet_rows import ParquetRows, open_delta

    if kind == "delta":
        return open_delta(address, column=column, columns=columns)
    return ParquetRows(address, column=column, columns=columns)


def open_values(
    uri: str | os.PathLike[str],
    *,
    array: str | None = None,
    column: str | None = None,
    missing_chunks: Literal["error", "fill"] = "error",
) -> Rows:
    """One number per row by its address, as rows of one: an array (n,) or (n, 1) of Zarr or .npy, a Parquet column.

    Integers stay what they are, of whatever size. Raises `InputError` as `open_rows` does.
    """
    rows = _open_values(locations.normalise(uri), array, column, missing_chunks)
    rows.rounds = False
    return rows


def _open_values(address: str, array: str | None, column: str | None, missing_chunks: Literal["error", "fill"]) -> Rows:
    with locations.opening(address):
        kind = source_kind(address)
    if kind == "zarr" and column is None:
        from landmark_ops.stores.sources.zarr_sparse import open_zarr

        return open_zarr(address, array, missing_chunks=missing_chunks, values=True)
    if kind == "npy" and array is None and column is None:
        from landmark_ops.stores.sources.npy_rows import NpyRows

        return NpyRows(address, values=True)
    return open_rows(address, array=array, columns=None if column is None else [column])


def as_values(y: Any) -> Rows:
    """One number per row as an estimator was given it: an array (n,) or (n, 1), in memory, Dask or Zarr, or `Rows`."""
    rows = copy.copy(y) if isinstance(y, Rows) else _as_values(y)
    rows.rounds = False
    return rows


def _as_values(y: Any) -> Rows:
    if type(y).__module__.partition(".")[0] == "zarr" and hasattr(y, "chunks"):
        from landmark_ops.stores.sources.zarr_rows import ZarrRows

        return ZarrRows(y, missing_chunks="fill", values=True)
    if getattr(y, "ndim", 2) == 1 and type(y).__module__.partition(".")[0] != "pandas":
        return as_rows(y.reshape(-1, 1))
    return as_rows(np.asarray(y).reshape(-1, 1) if getattr(y, "ndim", 1) == 1 else y)


def source_kind(uri: str) -> Kind:
    """What lies at an address, by its markers; nothing of the data is read.

    Raises FileNotFoundError where nothing is there, `InputError` where it is of no known kind.
    """
    if locations.is_file(uri):
        if uri.lower().endswith(".npy"):
            return "npy"
        if uri.lower().endswith(SUFFIXES):
            return "parquet"
        raise InputError(f"{uri}: is a file of no known kind, known are .npy and {', '.join(SUFFIXES)}")
    if not locations.is_folder(uri):
        if not locations.is_remote(uri) and os.path.exists(uri):
            raise InputError(f"{uri}: is neither a file nor a folder: a pipe or device holds no rows")
        raise FileNotFoundError("looked for a Zarr store, a .npy or Parquet file, a Delta table")
    if any(locations.is_file(locations.join(uri, name)) for name in ("zarr.json", ".zarray", ".zgroup")):
        return "zarr"
    if locations.is_folder(locations.join(uri, "_delta_log")):
        return "delta"
    listed = locations.children(uri)
    names = [child.name for child in listed]
    if any(name.lower().endswith(SUFFIXES) for name in names) or _holds_parquet(uri, listed):
        return "parquet"
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"
    raise InputError(
        f"{uri}: is a folder of no known kind (looked for zarr.json, .zarray, .zgroup, _delta_log/, *.parquet); "
        f"it holds {shown}"
    )


def _holds_parquet(uri: str, listed: list[locations.Child]) -> bool:
    """Whether the first branch of partition folders (`key=value/`) ends in a Parquet file."""
    for child in listed:
        if child.is_folder and not is_hidden(child.name):
            below = locations.children(locations.join(uri, child.name))
            if any(entry.name.lower().endswith(SUFFIXES) for entry in below):
                return True
            if _holds_parquet(locations.join(uri, child.name), below):
                return True
    return False


def as_rows(X: Any) -> Rows:
    """What an estimator was given, as `Rows`: an array, a Dask or Zarr array, a DataFrame, nested lists, or `Rows`.

    A Zarr array that is packed by its attributes is decoded, as it is by `open_rows`.

    Raises `InputError` for sparse and masked arrays, whose missing entries rows cannot express, and for addresses.
    """
    if isinstance(X, Rows):
        return X
    if isinstance(X, str | os.PathLike):
        raise InputError(f"got the address {os.fspath(X)!r} instead of rows: open it with open_rows({os.fspath(X)!r})")
    if isinstance(X, np.ma.MaskedArray):
        raise InputError("got a masked array, masks are not supported: pass X.filled(numpy.nan)")
    if isinstance(X, np.ndarray):
        return ArrayRows(X)
    home = type(X).__module__.partition(".")[0]  # looked at first, so that no library is imported to say no
    if home == "dask" and type(X).__name__ == "Array":
        from landmark_ops.stores.sources.dask_rows import DaskRows

        return DaskRows(X)
    if home == "dask":
        raise InputError(f"got a dask {type(X).__name__}: pass X.to_dask_array(lengths=True)")
    if home == "zarr":
        import zarr

        if isinstance(X, zarr.Array):
            from landmark_ops.stores.sources.zarr_rows import ZarrRows

            # Whoever holds the array reads its fill value where a chunk was never written: so does the estimator.
            return ZarrRows(X, missing_chunks="fill")
        raise InputError(f"got a zarr {type(X).__name__}: pass one of its arrays, e.g. X['name']")
    if home == "scipy" and type(X).__module__.startswith("scipy.sparse"):
        raise InputError(f"got a sparse {type(X).__name__} of shape {X.shape}, rows must be dense: pass X.toarray()")
    try:
        return ArrayRows(_frame_values(X) if home == "pandas" and hasattr(X, "columns") else np.asarray(X))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"got a {type(X).__name__} that is no array of equally long rows ({error})") from error


def _frame_values(frame: Any) -> NDArray[Any]:
    """The numbers of a DataFrame, its columns in order; missing ones of nullable columns are NaN."""
    other = [str(name) for name, dtype in frame.dtypes.items() if dtype.kind not in "iufb"]
    if other:
        raise InputError(
            f"got a DataFrame whose columns {', '.join(other[:5])} hold no numbers ({len(other)} of "
            f"{len(frame.columns)}): leave them out, or encode them"
        )
    plain = all(isinstance(dtype, np.dtype) for dtype in frame.dtypes)
    values: NDArray[Any] = frame.to_numpy() if plain else frame.to_numpy(np.float64, na_value=np.nan)
    if values.dtype.kind == "f":  # 64-bit integers beside floats, or with some missing, have been made floats
        for at, dtype in enumerate(frame.dtypes):
            if dtype.kind in "iu" and dtype.itemsize == 8:
                column = frame.iloc[:, at].dropna()
                check_exact(column.to_numpy(f"{dtype.kind}8"), f"column {frame.columns[at]}", 0, 1)
    return values
