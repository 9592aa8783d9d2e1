"""Arrow columns as arrays of numbers: no I/O, but missing rows are found.

A missing number becomes NaN, and a row without a vector (null or empty) becomes a row of NaN: so bad rows look the same
to the rest of the flow. Lists of unequal length raise, naming the first such row.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.stores.sources.column_types import is_spark_vector
from landmark_ops.stores.sources.rows import check_exact

_SPARK_SPARSE, _SPARK_DENSE = 0, 1


def vector_block(column: pa.Array, d: int, dtype: np.dtype[Any], first_row: int, where: str) -> NDArray[Any]:
    """Vectors of `d` numbers as (rows, d) of `dtype`, without a copy where it already is that and none is missing.

    A null or empty vector becomes a row of NaN. `first_row` is for messages only.

    Raises InputError for vectors of unequal lengths.
    """
    column = _stored(column)
    if pa.types.is_null(column.type):
        return _nothing((len(column), d), dtype, first_row, where)
    if is_spark_vector(column.type):
        return _spark_block(column, d, dtype, first_row, where)
    if pa.types.is_fixed_size_list(column.type) and column.type.list_size == d and not column.null_count:
        return _numbers(column.flatten(), dtype, first_row, where, d).reshape(len(column), d)
    lengths = pc.list_value_length(column)
    if lengths.null_count:
        lengths = lengths.fill_null(0)
    sizes = lengths.to_numpy()
    whole = sizes == d
    if whole.all():
        return _numbers(column.flatten(), dtype, first_row, where, d).reshape(len(column), d)
    wrong = ~whole & (sizes != 0)
    if wrong.any():
        bad = int(np.argmax(wrong))
        raise InputError(
            f"{where}, row {first_row + bad}: holds {sizes[bad]} numbers, expected {d} as in the first vector: "
            "rows must be equally long; remove or pad such rows"
        )
    out = _nothing((len(column), d), dtype, first_row + int(np.argmin(whole)), where)
    out[whole] = _numbers(column.flatten(), dtype, first_row, where, d).reshape(-1, d)  # which leaves nulls out
    return out


def numbers_block(
    column: pa.Array, dtype: np.dtype[Any], first_row: int, where: str, rounds: bool = True
) -> NDArray[Any]:
    """A column of numbers as a flat array of `dtype`; null becomes NaN. `rounds`: see `Rows`."""
    return _numbers(_stored(column), dtype, first_row, where, 1, rounds or dtype.kind == "f")


def vector_length(column: pa.Array) -> int | None:
    """Numbers in the first vector that is neither null nor empty; None where there is no such."""
    column = _stored(column)
    if pa.types.is_null(column.type):
        return None
    if is_spark_vector(column.type):
        _, sizes, _, values = column.flatten()
        lengths = pc.coalesce(sizes, pc.list_value_length(values)).cast(pa.int64())
    else:
        lengths = pc.list_value_length(column)
    found = np.flatnonzero(lengths.fill_null(0).to_numpy())
    return int(lengths[int(found[0])].as_py()) if len(found) else None


def _spark_block(column: pa.Array, d: int, dtype: np.dtype[Any], first_row: int, where: str) -> NDArray[Any]:
    """Spark ML vectors: type 1 is dense, `values` alone; 0 is sparse, `values` at `indices` of `size` numbers."""
    kinds, sizes, indices, values = column.flatten()
    kind = kinds.fill_null(-1).to_numpy()
    strange = np.flatnonzero((kind != _SPARK_DENSE) & (kind != _SPARK_SPARSE) & column.is_valid().to_numpy(False))
    if len(strange):
        raise InputError(f"{where}, row {first_row + int(strange[0])}: is no Spark vector, its type is neither 0 nor 1")
    out = _nothing((len(column), d), dtype, first_row, where)
    dense = np.flatnonzero(kind == _SPARK_DENSE)
    if len(dense):
        out[dense] = vector_block(values.take(pa.array(dense)), d, dtype, first_row, where)
    sparse = np.flatnonzero(kind == _SPARK_SPARSE)
    if len(sparse):
        at, stored = indices.take(pa.array(sparse)), values.take(pa.array(sparse))
        size = sizes.take(pa.array(sparse)).fill_null(-1).to_numpy()
        counts = pc.list_value_length(at).fill_null(0).to_numpy()
        columns = at.flatten().fill_null(-1).to_numpy().astype(np.int64)
        rows = np.repeat(sparse, counts)
        odd = (size != d) | (counts != pc.list_value_length(stored).fill_null(0).to_numpy())
        outside = (columns < 0) | (columns >= d)
        if odd.any() or outside.any():
            row = first_row + int(min([*sparse[odd], *rows[outside]]))
            raise InputError(
                f"{where}, row {row}: is a sparse Spark vector that does not fit {d} numbers as in the first vector: "
                "rows must be equally long; remove such rows"
            )
        out[sparse] = 0
        out[rows, columns] = _numbers(stored.flatten(), dtype, first_row, where, d)
    return out


def _numbers(
    column: pa.Array, dtype: np.dtype[Any], first_row: int, where: str, per_row: int, rounds: bool = True
) -> NDArray[Any]:
    """Numbers as `dtype`, NaN where null; `per_row` of them make up one row, for messages."""
    if pa.types.is_null(column.type):
        return _nothing((len(column),), dtype, first_row, where)
    if not column.null_count or pa.types.is_floating(column.type):
        values = cast(NDArray[Any], column.to_numpy(zero_copy_only=False))
        missing = None
    else:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        values = column.fill_null(False if pa.types.is_boolean(column.type) else 0).to_numpy(zero_copy_only=False)
    if rounds:
        check_exact(values, where, first_row, per_row)
    if missing is not None and dtype.kind != "f":
        _nothing((1,), dtype, first_row + int(np.argmax(missing)) // per_row, where)
    if values.dtype != dtype:
        values = values.astype(dtype)
    if missing is not None:
        values = np.where(missing, dtype.type(np.nan), values)
    return values


def _nothing(shape: tuple[int, ...], dtype: np.dtype[Any], row: int, where: str) -> NDArray[Any]:
    if dtype.kind != "f":
        raise InputError(f"{where}, row {row}: holds null though its file's statistics count none: write the file anew")
    return np.full(shape, np.nan, dtype)


def _stored(column: pa.Array) -> pa.Array:
    while isinstance(column, pa.ExtensionArray):
        column = column.storage
    return column
