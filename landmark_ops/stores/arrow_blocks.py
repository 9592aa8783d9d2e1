"""Arrow columns as blocks of numbers: no I/O, only the question whether a column is rows, and which row is not.

A missing float becomes NaN, which is how the rest of the flow knows bad rows. A missing integer or a missing list has
no such stand-in, and lists of unequal length are no rows at all: these raise, naming the first such row.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark_ops.errors import InputError


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is a list, of any sort, of plain numbers."""
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists) and is_number(kind.value_type)


def is_number(kind: pa.DataType) -> bool:
    """Whether a type is a plain number: integer, floating or boolean."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def element_type(kind: pa.DataType) -> np.dtype[Any]:
    """The NumPy type of a column's numbers, or of its lists' numbers; object where they are not numbers."""
    inner = kind.value_type if is_list(kind) else kind
    return np.dtype(inner.to_pandas_dtype()) if is_number(inner) else np.dtype(object)


def column_summary(field: pa.Field) -> str:
    """`name (type)`, as listed in error messages."""
    return f"{field.name} ({field.type})"


def list_block(column: pa.Array, d: int, first_row: int, where: str) -> NDArray[Any]:
    """Lists of `d` numbers as (rows, d), without a copy where none is null. `first_row` is for messages only."""
    if column.null_count:
        row = first_row + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise InputError(f"{where}, row {row}: is null, expected a list of {d} numbers: remove or fill such rows")
    if pa.types.is_fixed_size_list(column.type):
        lengths_differ, found = column.type.list_size != d, column.type.list_size
        bad = 0
    else:
        lengths = np.diff(column.offsets.to_numpy())
        wrong = lengths != d
        lengths_differ = bool(wrong.any())
        bad = int(np.argmax(wrong)) if lengths_differ else 0
        found = int(lengths[bad]) if lengths_differ else d
    if lengths_differ:
        raise InputError(
            f"{where}, row {first_row + bad}: holds {found} numbers, expected {d} as in row 0: "
            "rows must be equally long; remove or pad such rows"
        )
    return numbers_block(column.flatten(), first_row, where, d).reshape(len(column), d)


def numbers_block(column: pa.Array, first_row: int, where: str, per_row: int = 1) -> NDArray[Any]:
    """A column of numbers as a flat array; null becomes NaN. `per_row` of them make up one row, for messages."""
    if column.null_count and not pa.types.is_floating(column.type):
        row = first_row + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))) // per_row
        raise InputError(
            f"{where}, row {row}: holds null among {column.type} values, which have no NaN: "
            "remove such rows, or store floats"
        )
    return cast(NDArray[Any], column.to_numpy(zero_copy_only=False))
