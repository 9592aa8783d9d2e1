"""An estimator's input as rows: arrays in memory, of Dask or of Zarr, data frames, nested lists.

Recognised by the module of their type, so that no library is imported for input that is not its own.
"""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.stores.sources.rows import ArrayRows, Rows, check_exact


def as_rows(X: Any) -> Rows:
    """An estimator's input as `Rows`: an array, a Dask or Zarr array, a DataFrame, nested lists, or `Rows`.

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

            # The caller's array reads as its fill value where a chunk was never written: so do these rows.
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
