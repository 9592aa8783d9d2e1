"""How stored numbers of a Zarr array become values, by its attributes: scaled, offset, missing, unsigned, bfloat16.

Follows the CF conventions (1.12, 2.5.1 and 8.1) as xarray reads them, and netCDF's user guide for valid ranges, which
xarray leaves alone: a value outside is missing. Missing is NaN. Refuses what would have to be guessed, and times.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.wording import shown

SLAB_NUMBERS = 1 << 18  # decoded at a time, so that what lies between stored and decoded stays in cache

#: Marks of xarray and of netCDF's own Zarr, under which the fill value of a v2 array is its missing value.
_MASKED_BY_FILL_VALUE = ("_ARRAY_DIMENSIONS", "_NCZARR_ARRAY", "_nczarr_array")
_VALID = ("valid_range", "valid_min", "valid_max")


class Limits(NamedTuple):
    """Lowest and highest valid value; None where there is none."""

    low: float | None
    high: float | None


class Packing(NamedTuple):
    """How stored numbers become values of `dtype`: reinterpreted, compared with what is missing, scaled, offset."""

    dtype: np.dtype[Any]
    seen_as: np.dtype[Any] | None = None  # stored integers of the other sign
    bfloat16: bool = False  # stored in the upper half of a float32
    missing: tuple[float, ...] = ()  # as stored
    valid: Limits | None = None  # as stored
    scale: float | None = None
    offset: float | None = None
    valid_values: Limits | None = None  # of the values

    def decode(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Values of a block (b, ...), in a new array."""
        out = np.empty(stored.shape, self.dtype)
        step = max(1, SLAB_NUMBERS // max(1, stored[:1].size))
        for start in range(0, len(stored), step):
            self._decode(stored[start : start + step], out[start : start + step])
        return out

    def _decode(self, stored: NDArray[Any], out: NDArray[Any]) -> None:
        if self.seen_as is not None:
            stored = stored.view(self.seen_as)
        if self.bfloat16:
            stored = widened(stored)
        out[...] = stored
        if self.scale is not None:
            out *= self.scale
        if self.offset is not None:
            out += self.offset
        for value in self.missing:
            out[stored == value] = np.nan
        for limits, values in ((self.valid, stored), (self.valid_values, out)):
            if limits is not None and limits.low is not None:
                out[values < limits.low] = np.nan
            if limits is not None and limits.high is not None:
                out[values > limits.high] = np.nan

    def describe(self) -> str:
        """What is done, for people."""
        parts = ["bfloat16"] if self.bfloat16 else []
        parts += [f"seen as {self.seen_as.name}"] if self.seen_as is not None else []
        parts += [f"times {self.scale:g}"] if self.scale is not None else []
        parts += [f"plus {self.offset:g}"] if self.offset is not None else []
        parts += [f"{', '.join(f'{value:g}' for value in self.missing)} missing"] if self.missing else []
        parts += ["values outside the valid range missing"] if self.valid or self.valid_values else []
        return ", ".join(parts)


def widened(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 as float32, exactly: it is the upper half of one."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def packing_of(
    attributes: Mapping[str, Any],
    stored: np.dtype[Any],
    fill_value: Any,
    *,
    zarr_format: int,
    bfloat16: bool,
    categories: bool,
    uri: str,
) -> Packing | None:
    """The packing that an array's attributes describe; None where its numbers are what they are stored as.

    stored
        The type that zarr reads, native byte order; of bfloat16 the uint16 that carries it.
    fill_value
        As zarr has it, None where there is none.
    categories
        The numbers are codes of categories as anndata writes them, of which -1 is none.

    Raises `InputError` naming the attribute that cannot be obeyed.
    """
    _refuse_times(attributes, uri)
    scale, offset = (_scalar(attributes, name, uri) for name in ("scale_factor", "add_offset"))
    seen_as = _other_sign(attributes.get("_Unsigned"), stored, uri)
    seen = np.dtype(np.float32) if bfloat16 else seen_as or stored
    given = [attributes.get(name) for name in ("_FillValue", "missing_value")]
    if zarr_format == 2 and fill_value is not None and any(mark in attributes for mark in _MASKED_BY_FILL_VALUE):
        given[0] = fill_value
    names = ("_FillValue", "missing_value")
    wanted = [value for name, one in zip(names, given, strict=True) for value in _numbers(one, name, stored, uri)]
    wanted += [-1.0] if categories and seen.kind == "i" else []
    missing = tuple(dict.fromkeys(held for value in wanted if (held := _held(value, stored, seen)) is not None))
    low, high, floating = _valid_limits(attributes, uri)
    packed = scale is not None or offset is not None
    limits = Limits(low, high) if low is not None or high is not None else None
    if limits and packed and stored.kind == "f":
        raise InputError(
            f"{uri}: has valid limits beside scale_factor or add_offset on {stored} numbers, which does not say in "
            "which units the limits are: leave them out"
        )
    of_values = limits if packed and floating else None
    of_stored = None if of_values else _reached(limits, stored, seen, uri)
    masked = bool(missing) or of_stored is not None or of_values is not None
    if not (packed or masked or seen_as is not None or bfloat16):
        return None
    nan_marks = not missing and any(one is not None for one in given)
    return Packing(
        _decoded(seen, packed, masked, nan_marks), seen_as, bfloat16, missing, of_stored, scale, offset, of_values
    )


def _decoded(seen: np.dtype[Any], packed: bool, masked: bool, nan_marks: bool) -> np.dtype[Any]:
    """xarray's rule: JSON keeps a scale as float64; a mask leaves floats alone and takes integers to exact floats.

    Floats of which NaN is said to be missing stay what they are under a scale as well; but float16 would lose digits.
    """
    if packed:
        return np.result_type(seen, np.float32) if seen.kind == "f" and nan_marks else np.dtype(np.float64)
    if not masked or seen.kind == "f":
        return seen
    return np.dtype(np.float32 if seen.itemsize <= 2 else np.float64)


def _refuse_times(attributes: Mapping[str, Any], uri: str) -> None:
    units, kind = attributes.get("units"), attributes.get("dtype")
    if isinstance(units, str) and " since " in units:
        raise InputError(
            f"{uri}: holds times (units {shown(units)}), rows and targets must be numbers: store the numbers that are "
            "meant, without such units"
        )
    if isinstance(kind, str) and kind.startswith("timedelta64"):
        raise InputError(
            f"{uri}: holds time differences (dtype {kind}), rows and targets must be numbers: store the numbers that "
            "are meant, without this attribute"
        )


def _scalar(attributes: Mapping[str, Any], name: str, uri: str) -> float | None:
    value = attributes.get(name)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(f"{uri}: attribute {name} is {shown(value)}, needed is one number: correct it or leave it out")
    return float(value)


def _other_sign(unsigned: Any, stored: np.dtype[Any], uri: str) -> np.dtype[Any] | None:
    if unsigned is None or stored.kind not in "iu":
        return None
    said = str(unsigned).lower()
    if said not in ("true", "false"):
        raise InputError(f"{uri}: attribute _Unsigned is {shown(unsigned)}, it may be 'true' or 'false': correct it")
    kind = "u" if said == "true" else "i"
    return None if stored.kind == kind else np.dtype(f"{kind}{stored.itemsize}")


def _numbers(value: Any, name: str, stored: np.dtype[Any], uri: str) -> list[int | float]:
    """The numbers of an attribute that says what is missing. xarray writes floats into v3 as base64 of a double."""
    found: list[int | float] = []
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, np.generic):
            one = one.item()
        if isinstance(one, str):
            one = _from_text(one)
            if one is None:
                raise InputError(
                    f"{uri}: attribute {name} is {shown(value)}, needed are numbers: correct it or leave it out"
                )
        if one is None or one != one:  # NaN is missing already
            continue
        if not isinstance(one, int | float):
            raise InputError(
                f"{uri}: attribute {name} is {shown(value)}, needed are numbers: correct it or leave it out"
            )
        found.append(one)
    return found


def _from_text(text: str) -> float | None:
    try:
        return float(text)  # NaN, Infinity, -Infinity as JSON has them, or a number in quotes
    except ValueError:
        pass
    try:
        packed = base64.b64decode(text, validate=True)
        return float(struct.unpack("<d", packed)[0])
    except (ValueError, struct.error):
        return None


def _held(value: int | float, stored: np.dtype[Any], seen: np.dtype[Any]) -> float | int | None:
    """A missing value as the numbers it is compared with; None where no stored number can be it."""
    if seen.kind == "f":
        return float(seen.type(value))
    if value != np.floor(value):
        return None
    whole = int(value)
    for kind in (stored, seen):  # a value of the stored type says the same bits, one of the other is meant as it is
        if kind.kind == "b":
            return float(whole) if whole in (0, 1) else None
        if np.iinfo(kind).min <= whole <= np.iinfo(kind).max:
            return int(np.array(whole, kind).view(seen))
    return None


def _valid_limits(attributes: Mapping[str, Any], uri: str) -> tuple[float | None, float | None, bool]:
    """Lowest and highest valid value, and whether they are written as floating numbers."""
    given = {name: attributes[name] for name in _VALID if attributes.get(name) is not None}
    if not given:
        return None, None, False
    low, high = given.get("valid_min"), given.get("valid_max")
    if "valid_range" in given:
        both = given["valid_range"]
        if not isinstance(both, list) or len(both) != 2 or len(given) > 1:
            raise InputError(
                f"{uri}: attribute valid_range is {shown(both)}, needed are two numbers and no valid_min or valid_max "
                "beside: correct it or leave it out"
            )
        low, high = both
    ends = [end[0] if isinstance(end, list) and len(end) == 1 else end for end in (low, high)]
    for end in ends:
        if end is not None and (isinstance(end, bool) or not isinstance(end, int | float)):
            raise InputError(
                f"{uri}: valid limits are {shown(given)}, needed are numbers: correct them or leave them out"
            )
    return ends[0], ends[1], any(isinstance(end, float) for end in ends)


def _reached(limits: Limits | None, stored: np.dtype[Any], seen: np.dtype[Any], uri: str) -> Limits | None:
    """Limits that some stored number can be outside of; signed limits of numbers read as unsigned are read so too."""
    if limits is None:
        return None
    if seen.kind == "b":
        return None
    if seen != stored and seen.kind in "iu":
        held = [None if end is None else _held(end, stored, seen) for end in limits]
        if held != [None if end is None else end for end in limits] and None in held:
            raise InputError(f"{uri}: its valid limits do not fit its type {stored}: correct them or leave them out")
        limits = Limits(*held)
    ends = np.finfo(seen) if seen.kind == "f" else np.iinfo(seen)
    low = limits.low if limits.low is not None and limits.low > ends.min else None
    high = limits.high if limits.high is not None and limits.high < ends.max else None
    return Limits(low, high) if low is not None or high is not None else None
