"""What the type of an Arrow column says: whether its values are numbers, vectors of them, text, or something else."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa

from landmark_ops.stores.arrow_types import is_list, is_text

Kind = Literal["number", "vector", "nothing", "other"]

SPARK_FIELDS = ["type", "size", "indices", "values"]


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
