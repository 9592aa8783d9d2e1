"""Arrow columns as blocks of numbers: no I/O, only the question whether a column is rows, and which row is not.

A missing number becomes NaN, and a row without a vector (null or empty) becomes a row of NaN: that is how the rest of
the flow knows bad rows. Lists of unequal length are no rows at all: these raise, naming the first such row.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.stores.arrow_types import is_list, is_text
from landmark_ops.stores.sources.rows import check_exact

Kind = Literal["number", "vector", "nothing", "other"]

SPARK_FIELDS = ["type", "size", "indices", "values"]
_SPARK_SPARSE, _SPARK_DENSE = 0, 1


def storage_type(kind: pa.DataType) -> pa.DataType:
    """A type without the extensions around it: what is stored."""
    while isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind


def kind_of(kind: pa.DataType) -> Kind:
    """Whether a column's values are numbers, vectors of numbers, nulls alone, or something else."""
    stored = storage_type(kind)
    if pa.types.is_null(stored):
        return "nothing"
    if is_number(stored):
        return "number"
    if is_spark_vector(stored):
        return "vector"
    if is_list(stored) and (is_number(stored.value_type) or pa.types.is_null(stored.value_type)):
        return "vector"
    return "other"


def is_number(kind: pa.DataType) -> bool:
    """Whether a type is a plain number: integer, floating or boolean."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def is_spark_vector(kind: pa.DataType) -> bool:
    """Whether a type is the struct that Spark ML's VectorUDT is stored as."""
    return bool(
        pa.types.is_struct(kind)
        and [kind.field(at).name for at in range(kind.num_fields)] == SPARK_FIELDS
        and pa.types.is_integer(kind.field(0).type)
        and is_list(kind.field(3).type)
        and is_number(kind.field(3).type.value_type)
    )


def element_type(kind: pa.DataType) -> np.dtype[Any] | None:
    """The NumPy type of a column's numbers, or of its vectors' numbers; None where nulls are all it can hold."""
    stored = storage_type(kind)
    if is_spark_vector(stored):
        return np.dtype(np.float64)
    inner = stored.value_type if is_list(stored) else stored
    return None if pa.types.is_null(inner) else np.dtype(inner.to_pandas_dtype())


def list_size(kind: pa.DataType) -> int | None:
    """Numbers per row where the type says so."""
    stored = storage_type(kind)
    return int(stored.list_size) if pa.types.is_fixed_size_list(stored) else None


def tensor_shape(kind: pa.DataType) -> tuple[int, ...] | None:
    """The shape of a row of a tensor column; None where it is none."""
    return tuple(int(size) for size in kind.shape) if isinstance(kind, pa.FixedShapeTensorType) else None


def is_permuted(kind: pa.DataType) -> bool:
    """Whether a tensor column's axes are not in the order they are stored in.

    Where three and more change places, pyarrow 26 writes one order and reads another.
    """
    order = kind.permutation if isinstance(kind, pa.FixedShapeTensorType) else None
    return order is not None and list(order) != sorted(order)


def column_summary(field: pa.Field) -> str:
    """`name (type)`, as listed in error messages."""
    return f"{field.name} ({field.type})"


def remedy_for(kind: pa.DataType) -> str:
    """What to do about a column that is no rows."""
    stored = storage_type(kind)
    remedy = "choose another"
    if pa.types.is_decimal(stored):
        remedy = "decimals would lose digits unseen, so cast it to double"
    elif pa.types.is_temporal(stored):
        remedy = "times are no numbers until a unit and an origin are chosen, so store it as a number"
    elif is_text(stored):
        remedy = "text is not parsed, not even numbers in it: choose another, or store numbers"
    elif pa.types.is_dictionary(stored):
        remedy = "cast it to its values' type"
    elif is_list(stored) and (
        pa.types.is_fixed_size_binary(stored.value_type) or pa.types.is_binary(stored.value_type)
    ):
        remedy = "items are raw bytes that do not say their type (older writers store float16 so): store float32"
    elif pa.types.is_fixed_size_binary(stored) or pa.types.is_binary(stored) or pa.types.is_large_binary(stored):
        remedy = "raw bytes do not say their type: store a list of numbers"
    elif is_list(stored) and is_list(stored.value_type):
        remedy = "one vector per row is needed: flatten the lists, or write one row per vector"
    elif pa.types.is_struct(stored) and [stored.field(at).name for at in range(stored.num_fields)] == ["data", "shape"]:
        remedy = "tensors of several shapes are no rows: store a list of equally many numbers"
    elif pa.types.is_struct(stored):
        remedy = "write the field that is meant as a column of its own"
    return remedy


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
