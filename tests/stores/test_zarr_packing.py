"""Packed Zarr arrays against xarray, which is what wrote them and what people read them with."""

from __future__ import annotations

import base64
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import MemoryStore

from landmark_ops.errors import InputError, RunError
from landmark_ops.shards.zarr import zarr_shards
from landmark_ops.stores.sources.arrays import as_rows
from landmark_ops.stores.sources.source import open_rows, open_values
from landmark_ops.stores.sources.zarr_rows import ZarrRows

pytestmark = [
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),  # of writing, by xarray
    pytest.mark.filterwarnings("ignore:variable 't' has"),  # _Unsigned or NaN on types that have none, which is tried
]
ENCODINGS: list[dict[str, Any]] = [
    {},
    {"_FillValue": 7},
    {"_FillValue": 0},
    {"_FillValue": -5},
    {"missing_value": 7},
    {"scale_factor": 0.5},
    {"add_offset": 3.0},
    {"scale_factor": 0.1, "add_offset": 20.0},
    {"scale_factor": 0.1, "add_offset": 20.0, "_FillValue": 7},
    {"scale_factor": np.float32(0.1), "_FillValue": 7, "missing_value": 7},
    {"scale_factor": 0.1, "_FillValue": -1, "_Unsigned": "true"},
    {"_FillValue": 3, "_Unsigned": "false"},
]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    "stored", ["int8", "uint8", "int16", "uint16", "int32", "int64", "float16", "float32", "float64"]
)
def test_attributes_mean_what_xarray_says(stored: str, zarr_format: int) -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(-8 if stored[0] != "u" else 0, 20, (24, 3)).astype(stored)
    data[:4] = [[0, 3, 7], [7, 7, 7], [-1 if stored[0] != "u" else 1, 5, 0], [19, 0, 1]]
    for encoding in ENCODINGS:
        if stored[0] == "u" and encoding.get("_FillValue", 0) < 0:
            continue
        if stored == "int64" and "_Unsigned" in encoding:
            continue  # xarray compares after rounding to float64, and so takes -5 for the missing -1
        store = MemoryStore()
        xr.Dataset({"t": (("a", "b"), data, encoding)}).to_zarr(store, zarr_format=zarr_format)
        expected = xr.open_zarr(store, consolidated=False)["t"].values
        rows = ZarrRows(zarr.open_group(store, mode="r")["t"], missing_chunks="fill")
        for start, stop in ((0, 24), (1, 9)):
            got = rows.read(start, stop)
            assert got.dtype == rows.dtype
            if stored == "float16" and "scale_factor" in encoding:  # which xarray scales in float16
                np.testing.assert_allclose(got, expected[start:stop], rtol=2e-3)
            else:
                np.testing.assert_array_equal(got, expected[start:stop], str(encoding))
                assert got.dtype == expected.dtype or encoding.keys() & {"add_offset", "scale_factor"}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_packed_by_xarray_from_an_address(tmp_path: Path, zarr_format: int) -> None:
    values = np.random.default_rng(0).normal(size=(60, 4))
    values[[3, 50], [0, 2]] = np.nan
    encoding = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 20.0, "_FillValue": -32768}
    data = xr.Dataset({"t": (("time", "level"), values)})
    data.to_zarr(tmp_path / "x.zarr", encoding={"t": {**encoding, "chunks": (16, 3)}}, zarr_format=zarr_format)
    rows = open_rows(tmp_path / "x.zarr")
    expected = xr.open_zarr(tmp_path / "x.zarr", consolidated=False)["t"].values
    assert np.isnan(expected).sum() == 2
    for copy in (rows, pickle.loads(pickle.dumps(rows))):
        assert copy.dtype == np.float64
        np.testing.assert_array_equal(copy.read(0, 60), expected)
        np.testing.assert_array_equal(copy.take(np.array([50, 3, 3])), expected[[50, 3, 3]])
    assert len(pickle.dumps(rows)) < 3000


def test_a_filter_that_scales_is_decoded_once(tmp_path: Path) -> None:
    import numcodecs

    values = np.linspace(0, 9, 40).reshape(10, 4)
    array = zarr.create_array(
        tmp_path / "x.zarr",
        shape=values.shape,
        dtype="f8",
        zarr_format=2,
        filters=[numcodecs.FixedScaleOffset(offset=1.0, scale=1000, dtype="<f8", astype="<i4")],
        attributes={"add_offset": 5.0},
    )
    array[:] = values
    np.testing.assert_allclose(ZarrRows(tmp_path / "x.zarr").read(0, 10), values + 5, atol=1e-3)


def test_a_filter_that_scales_beside_a_missing_value_is_refused(tmp_path: Path) -> None:
    """VirtualiZarr writes the missing value as packed, which the filter has scaled when it is looked for."""
    import numcodecs

    scaled = numcodecs.FixedScaleOffset(offset=0, scale=2, dtype="<f8", astype="u1")
    for attributes in ({"_FillValue": 255}, {"missing_value": 127.5}, {"valid_max": 100.0}):
        zarr.create_array(
            tmp_path / "x.zarr",
            shape=(3, 2),
            dtype="f8",
            zarr_format=2,
            filters=[scaled],
            attributes=attributes,
            overwrite=True,
        )[:] = 1.5
        with pytest.raises(InputError, match="beside the filter fixedscaleoffset, which does not say whether"):
            ZarrRows(tmp_path / "x.zarr")


def plain(stored: str, attributes: dict[str, Any], data: Any = None, zarr_format: int = 3, **options: Any) -> ZarrRows:
    data = np.arange(24).reshape(8, 3).astype(stored) if data is None else np.asarray(data, stored)
    store = MemoryStore()
    array = zarr.create_array(
        store, shape=data.shape, dtype=data.dtype, attributes=attributes, zarr_format=zarr_format, **options
    )
    array[:] = data
    return ZarrRows(zarr.open_array(store, mode="r"), missing_chunks="fill")


def test_fill_value_of_a_plain_v2_array_is_a_value(tmp_path: Path) -> None:
    """Zeros are zeros where nothing says that xarray or netCDF wrote them."""
    assert plain("u1", {}, zarr_format=2, fill_value=0).dtype == np.uint8
    for mark in ("_ARRAY_DIMENSIONS", "_nczarr_array"):
        got = plain("u1", {mark: ["a", "b"]}, zarr_format=2, fill_value=0).read(0, 1)
        np.testing.assert_array_equal(got, [[np.nan, 1, 2]])


@pytest.mark.parametrize(
    ("stored", "attributes", "missing"),
    [
        ("i2", {"valid_min": 3}, [0, 1, 2]),
        ("i2", {"valid_max": 20}, [21, 22, 23]),
        ("u1", {"valid_range": [1, 22]}, [0, 23]),
        ("f4", {"valid_range": [1.0, 22.0]}, [0, 23]),
        ("f8", {"valid_min": 2, "missing_value": [5, 6]}, [0, 1, 5, 6]),
        ("i2", {"valid_range": [1, 22], "scale_factor": 0.5}, [0, 23]),  # as stored
        ("i2", {"valid_range": [1.0, 11.0], "scale_factor": 0.5}, [0, 1, 23]),  # of the values
        ("i1", {"valid_range": [1, -1], "_Unsigned": "true"}, [0]),  # 1 to 255
    ],
)
def test_values_outside_the_valid_range_are_missing(
    stored: str, attributes: dict[str, Any], missing: list[int]
) -> None:
    rows = plain(stored, attributes)
    got = rows.read(0, 8).reshape(-1)
    expected = np.arange(24) * attributes.get("scale_factor", 1.0)
    expected[missing] = np.nan
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "attributes", [{"valid_range": [0, 255]}, {"valid_min": 0}, {"_FillValue": -1}, {"_FillValue": 300}]
)
def test_what_no_stored_number_can_be_leaves_the_type_alone(attributes: dict[str, Any]) -> None:
    assert plain("u1", attributes).dtype == np.uint8


def test_missing_floats_in_every_spelling() -> None:
    data = np.array([[1e20, 1.5], [0.1, 2.0]])
    for fill in (1e20, base64.standard_b64encode(struct.pack("<d", 1e20)).decode(), "1e20", [1e20]):
        got = plain("f4", {"_FillValue": fill}, data).read(0, 2)
        np.testing.assert_array_equal(got, np.array([[np.nan, 1.5], [0.1, 2.0]], "f4"))
    for fill in (float("nan"), "NaN", "AAAAAAAA+H8="):
        assert plain("f4", {"_FillValue": fill}, data).dtype == np.float32


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"scale_factor": "a tenth"}, "attribute scale_factor is 'a tenth', needed is one number"),
        ({"scale_factor": [1.0, 2.0]}, r"attribute scale_factor is \[1.0, 2.0\], needed is one number"),
        ({"add_offset": float("inf")}, "attribute add_offset is inf"),
        ({"_FillValue": "none"}, "attribute _FillValue is 'none', needed are numbers"),
        ({"missing_value": {"x": 1}}, "attribute missing_value is .*, needed are numbers"),
        ({"_Unsigned": "yes"}, "attribute _Unsigned is 'yes', it may be 'true' or 'false'"),
        ({"valid_range": 5}, "attribute valid_range is 5, needed are two numbers"),
        ({"valid_range": [0, 5], "valid_min": 1}, "needed are two numbers and no valid_min"),
        ({"valid_min": "low"}, "valid limits are .*, needed are numbers"),
        (
            {"units": "days since 1970-01-01"},
            r"holds times \(units 'days since 1970-01-01'\), rows and targets must be",
        ),
        ({"units": "days", "dtype": "timedelta64[ns]"}, "holds time differences"),
    ],
)
def test_attributes_that_cannot_be_obeyed_are_refused_by_name(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plain("i2", attributes)
    with pytest.raises(InputError, match="has valid limits beside scale_factor or add_offset on float32"):
        plain("f4", {"valid_min": 0.5, "scale_factor": 2.0})


def test_units_that_are_no_times_are_left_alone() -> None:
    assert plain("i2", {"units": "days", "standard_name": "age"}).dtype == np.int16


def test_attributes_belong_to_the_fingerprint_and_may_not_change(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "x.zarr", data=np.ones((4, 2), "i2"))
    rows = ZarrRows(tmp_path / "x.zarr")
    before = rows.fingerprint()
    sent = pickle.dumps(rows)
    zarr.open_array(tmp_path / "x.zarr").attrs["scale_factor"] = 0.5
    packed = ZarrRows(tmp_path / "x.zarr")
    assert packed.fingerprint() != before
    np.testing.assert_array_equal(packed.read(0, 4), np.full((4, 2), 0.5))
    with pytest.raises(RunError, match="its attributes say something else than when the run began"):
        pickle.loads(sent).read(0, 4)
    memory = zarr.create_array(MemoryStore(), data=np.ones((4, 2), "i2"))
    before = ZarrRows(memory).fingerprint()
    memory.attrs["scale_factor"] = 0.5
    assert as_rows(memory).fingerprint() != before


def test_targets_are_unpacked_too(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "x.zarr")
    group.create_array("y", data=np.array([1, -9, 3], "i2"), attributes={"scale_factor": 0.5, "missing_value": -9})
    np.testing.assert_array_equal(open_values(tmp_path / "x.zarr", array="y").read(0, 3), [[0.5], [np.nan], [1.5]])
    group.create_array("hours", data=np.array([1, 2, 3]), attributes={"units": "hours since 2000-01-01"})
    with pytest.raises(InputError, match="holds times"):
        open_values(tmp_path / "x.zarr", array="hours")


def test_categories_and_nullable_columns_of_anndata(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "x.zarr")
    kinds = group.create_group("obs/kind", attributes={"encoding-type": "categorical"})
    kinds.create_array("codes", data=np.array([0, -1, 1], "i1"))
    np.testing.assert_array_equal(
        open_values(tmp_path / "x.zarr", array="obs/kind/codes").read(0, 3), [[0], [np.nan], [1]]
    )
    older = {"categories": "obs/__categories/tissue"}
    group.create_array("obs/tissue", data=np.array([-1, 2, 0], "i1"), attributes=older)
    np.testing.assert_array_equal(open_values(tmp_path / "x.zarr", array="obs/tissue").read(0, 3), [[np.nan], [2], [0]])
    ages = group.create_group("obs/age", attributes={"encoding-type": "nullable-integer"})
    ages.create_array("values", data=np.array([1, 2, 3]))
    with pytest.raises(InputError, match="is part of a nullable-integer, whose missing values are in the array 'mask'"):
        open_values(tmp_path / "x.zarr", array="obs/age/values")


def test_pictures_have_no_missing_colours_and_are_not_packed(tmp_path: Path) -> None:
    pictures = np.zeros((2, 4, 4, 3), "u1")
    dims = {"_ARRAY_DIMENSIONS": ["n", "y", "x", "c"]}
    zarr.create_array(
        tmp_path / "x.zarr",
        data=pictures,
        zarr_format=2,
        fill_value=0,
        attributes=dims,
        config={"write_empty_chunks": True},
    )
    (shard,) = zarr_shards(str(tmp_path / "x.zarr"), None, None)  # type: ignore[arg-type]
    assert shard.rows.dtype == np.uint8
    zarr.open_array(tmp_path / "x.zarr").attrs["scale_factor"] = 0.5
    with pytest.raises(InputError, match=r"is packed \(times 0\.5, 0 missing\), pictures must not be"):
        zarr_shards(str(tmp_path / "x.zarr"), None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_bfloat16_as_tensorstore_writes_it(tmp_path: Path, zarr_format: int) -> None:
    values = np.random.default_rng(0).normal(size=(30, 4)).astype(ml_dtypes.bfloat16)
    values[7] = [np.nan, np.inf, -np.inf, -0.0]
    array = zarr.create_array(
        tmp_path / "x.zarr",
        shape=values.shape,
        chunks=(8, 4),
        dtype="uint16",
        compressors=None,
        zarr_format=zarr_format,
    )
    array[:] = values.view(np.uint16)
    path = tmp_path / "x.zarr" / ("zarr.json" if zarr_format == 3 else ".zarray")
    document = json.loads(path.read_text())
    expected = values.astype(np.float32)
    for fill, filled in ((0.0, 0.0), ("NaN", np.nan), ("0x3fc0", 1.5), (1.00390625, 1.0), (-3.5, -3.5)):
        path.write_text(
            json.dumps({**document, "data_type" if zarr_format == 3 else "dtype": "bfloat16", "fill_value": fill})
        )
        rows = open_rows(tmp_path / "x.zarr")
        assert rows.describe().endswith("30 rows of 4 float32")
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(rows)).read(0, 30), expected)
        (chunk,) = tmp_path.glob("x.zarr/c/3/0" if zarr_format == 3 else "x.zarr/3.0")
        chunk.rename(tmp_path / "aside")
        with pytest.raises(InputError, match=r"chunk .* \(rows 24..30\) is missing"):
            rows.read(20, 30)
        got = open_rows(tmp_path / "x.zarr", missing_chunks="fill").read(23, 25)
        np.testing.assert_array_equal(got, [expected[23], [filled] * 4])
        (tmp_path / "aside").rename(chunk)
