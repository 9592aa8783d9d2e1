from __future__ import annotations

import pickle
from pathlib import Path

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from deltalake import write_deltalake

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import locations
from landmark_ops.stores.sources.source import open_rows

pytestmark = pytest.mark.s3

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)


def upload(folder: Path, prefix: str) -> None:
    """Everything below a local folder, as objects."""
    bucket, _, key = prefix.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    for path in folder.rglob("*"):
        if path.is_file():
            client.put_object(Bucket=bucket, Key=f"{key}/{path.relative_to(folder)}", Body=path.read_bytes())


def delete(address: str) -> None:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    boto3.client("s3").delete_object(Bucket=bucket, Key=key)


@pytest.mark.parametrize(("zarr_format", "sharded"), [(2, False), (3, False), (3, True)])
def test_zarr(tmp_path: Path, s3_bucket: str, zarr_format: int, sharded: bool) -> None:
    options = {"shards": (16, 3)} if sharded else {}
    group = zarr.create_group(tmp_path / "x.zarr", zarr_format=zarr_format)  # type: ignore[arg-type]
    group.create_array("patches", data=X, chunks=(8, 3), **options)  # type: ignore[arg-type]
    upload(tmp_path / "x.zarr", f"{s3_bucket}/lake/x.zarr")
    rows = open_rows(f"{s3_bucket}/lake/x.zarr")
    assert rows.uri == f"{s3_bucket}/lake/x.zarr/patches"
    np.testing.assert_array_equal(rows.read(3, 39), X[3:39])
    sent = pickle.dumps(rows)
    assert b"AWS" not in sent
    assert b"secret" not in sent
    np.testing.assert_array_equal(pickle.loads(sent).take(np.array([30, 1])), X[[30, 1]])
    before = rows.fingerprint()
    assert pickle.loads(sent).fingerprint() == before
    key = "1.0" if zarr_format == 2 else "c/1/0"
    delete(f"{rows.uri}/{key}")
    assert rows.fingerprint() != before
    with pytest.raises(InputError, match=rf"chunk {key} .* is missing"):
        rows.read(0, 40)
    assert open_rows(f"{s3_bucket}/lake/x.zarr", missing_chunks="fill").read(0, 40).shape == (40, 3)


def test_zarr_array_opened_by_the_caller(tmp_path: Path, s3_bucket: str, s3_server: str) -> None:
    from landmark_ops.stores.sources.arrays import as_rows

    zarr.create_array(tmp_path / "x.zarr", data=X, chunks=(8, 3))
    upload(tmp_path / "x.zarr", f"{s3_bucket}/x.zarr")
    array = zarr.open_array(f"{s3_bucket}/x.zarr", mode="r", storage_options={"endpoint_url": s3_server})
    rows = pickle.loads(pickle.dumps(as_rows(array)))
    assert rows.uri == f"{s3_bucket}/x.zarr"
    np.testing.assert_array_equal(rows.read(0, 40), X)
    assert rows.fingerprint() == as_rows(array).fingerprint()


def test_npy(tmp_path: Path, s3_bucket: str) -> None:
    np.save(tmp_path / "x.npy", X.astype(">f4"))
    np.save(tmp_path / "f.npy", np.asfortranarray(X))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:300])
    upload(tmp_path, f"{s3_bucket}/lake")
    rows = open_rows(f"{s3_bucket}/lake/x.npy")
    np.testing.assert_array_equal(rows.read(3, 39), X[3:39])
    np.testing.assert_array_equal(rows.take(np.array([30, 1, 1])), X[[30, 1, 1]])
    assert pickle.loads(pickle.dumps(rows)).fingerprint() == rows.fingerprint()
    with pytest.raises(InputError, match=r"Fortran order.*3 places: save it with .*ascontiguousarray"):
        open_rows(f"{s3_bucket}/lake/f.npy")
    with pytest.raises(InputError, match=r"truncated, expected 608 bytes .*, found 300"):
        open_rows(f"{s3_bucket}/lake/cut.npy")
    upload_cut = boto3.client("s3")
    bucket = s3_bucket.removeprefix("s3://")
    upload_cut.put_object(Bucket=bucket, Key="lake/x.npy", Body=(tmp_path / "cut.npy").read_bytes())
    with pytest.raises(RunError, match=r"x\.npy: rows 0\.\.40 should hold 120 numbers, found 43"):
        rows.read(0, 40)


def test_parquet(tmp_path: Path, s3_bucket: str) -> None:
    table = pa.table({"vec": pa.array(X.tolist(), pa.list_(pa.float32())), "a": X[:, 0], "b": X[:, 1]})
    for i in range(4):
        (tmp_path / f"parts/day={i}").mkdir(parents=True)
        pq.write_table(table.slice(i * 10, 10), tmp_path / f"parts/day={i}/x.parquet", row_group_size=4)
    upload(tmp_path / "parts", f"{s3_bucket}/parts")
    rows = open_rows(f"{s3_bucket}/parts", column="vec")
    assert rows.chunk_rows == 4
    sent = pickle.dumps(rows)
    np.testing.assert_array_equal(pickle.loads(sent).read(5, 33), X[5:33])
    assert pickle.loads(sent).fingerprint() == rows.fingerprint()
    np.testing.assert_array_equal(open_rows(f"{s3_bucket}/parts", columns=["b", "a"]).read(0, 40), X[:, [1, 0]])
    delete(f"{s3_bucket}/parts/day=1/x.parquet")
    with pytest.raises(RunError, match=r"day=1/x\.parquet: row group 0 cannot be read"):
        rows.read(0, 40)


def test_delta(s3_bucket: str) -> None:
    uri = f"{s3_bucket}/tables/patches"
    table = pa.table({"vec": pa.array(X.tolist(), pa.list_(pa.float32())), "part": ["a b"] * 40})
    write_deltalake(uri, table, partition_by=["part"], storage_options=locations.delta_options(uri))
    rows = open_rows(uri, column="vec")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(rows)).read(0, 40), X)
    write_deltalake(uri, table, mode="overwrite", storage_options=locations.delta_options(uri))
    pinned = open_rows(uri, column="vec", version=0)
    assert (pinned.version, pinned.fingerprint()) == (0, rows.fingerprint())
    with pytest.raises(InputError, match=r"version 2 .* is not in its log, whose oldest version is 0 and newest 1"):
        open_rows(uri, version=2)
    delete(pinned.places[0])
    with pytest.raises(InputError, match=r"1 of the 1 files of version 0 .* are gone, .*; found whole: version 1,"):
        open_rows(uri, version=0)


def test_missing_sources(s3_bucket: str) -> None:
    locations.write_bytes(f"{s3_bucket}/lake/patches.npy", b"")
    with pytest.raises(InputError, match=r"nothing is there .*: nearest names in s3://.*/lake: patches\.npy"):
        open_rows(f"{s3_bucket}/lake/patchez.npy")
    with pytest.raises(InputError, match=r"no-such-bucket-here/x\.zarr: .*the bucket does not exist .*: create it, or"):
        open_rows("s3://no-such-bucket-here/x.zarr")


def test_helpers(s3_bucket: str) -> None:
    locations.write_bytes(f"{s3_bucket}/a/b/x.bin", b"0123456789")
    locations.write_bytes(f"{s3_bucket}/a/y.bin", b"1")
    assert locations.read_bytes(f"{s3_bucket}/a/b/x.bin", 2, 5) == b"234"
    assert locations.children(f"{s3_bucket}/a") == [("b", True), ("y.bin", False)]
    listed = locations.list_objects(f"{s3_bucket}/a")
    assert [(entry.key, entry.size) for entry in listed] == [("b/x.bin", 10), ("y.bin", 1)]
    assert locations.stat(f"{s3_bucket}/a/y.bin")[:3] == ("y.bin", 1, listed[1].version)
    assert locations.is_folder(f"{s3_bucket}/a")
    assert not locations.is_file(f"{s3_bucket}/a")
    with locations.open_binary(f"{s3_bucket}/a/b/x.bin") as file:
        file.seek(3)
        assert file.read(2) == b"34"
    locations.remove(f"{s3_bucket}/a")
    assert locations.is_empty(f"{s3_bucket}/a")


def test_an_unreachable_server(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(RunError, match=r"x\.npy: cannot be read: S3 cannot be reached .*: check AWS_ENDPOINT_URL"):
        open_rows(f"{s3_bucket}/x.npy")
