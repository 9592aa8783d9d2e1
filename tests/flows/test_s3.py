"""The whole flow on S3: source, output, report and lock are objects of a mock server on loopback."""

from __future__ import annotations

from typing import Any

import boto3
import numpy as np
import pytest
import zarr

from landmark_ops import LandmarkMDS, open_map
from landmark_ops.errors import InputError
from landmark_ops.stores.embeddings.zarr.store import ZarrStore
from landmark_ops.stores.zarr_store import open_store
from tests.flows.interrupting import watching
from tests.flows.running import make_config, open_output, points, run_embed

pytestmark = [pytest.mark.s3, pytest.mark.usefixtures("many_tasks")]

X = points(200)


def keys(bucket: str) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=bucket.removeprefix("s3://"))
    return [item["Key"] for item in found.get("Contents", [])]


def put(address: str, body: bytes) -> None:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


@pytest.fixture
def config(s3_bucket: str) -> dict[str, Any]:
    """A Zarr source of ten chunks on S3."""
    zarr.create_group(open_store(f"{s3_bucket}/lake/x.zarr")).create_array("rows", data=X, chunks=(40, 6))
    return make_config(f"{s3_bucket}/lake/x.zarr", f"{s3_bucket}/out/e.zarr")


def embedding_of(uri: str) -> Any:
    group = open_output(uri)
    return group["embedding"][...], group["landmarks/indices"][...]


def test_a_whole_run(config: dict[str, Any], s3_bucket: str) -> None:
    result = run_embed(config)
    uri = config["output"]["uri"]
    assert result["outcome"] == "done"
    assert result["report"] == f"{s3_bucket}/out/e.report/index.html"
    embedding, indices = embedding_of(uri)
    expected = LandmarkMDS(3, selection=indices).fit(X).transform(X)
    np.testing.assert_allclose(embedding, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(open_map(uri)(X[:5]), expected[:5], atol=1e-4)
    assert ZarrStore(uri).read_attributes()["status"] == "complete"
    stored = keys(s3_bucket)
    assert {"out/e.report/index.html", "out/e.report/density.png"} <= set(stored)
    assert not [key for key in stored if key.endswith(".lock")]
    assert run_embed(config)["outcome"] == "already complete"


@pytest.mark.usefixtures("bare_report")
def test_resume_and_overwrite(config: dict[str, Any], s3_bucket: str) -> None:
    uri = config["output"]["uri"]

    def stop(stage: str, count: int) -> None:
        if (stage, count) == ("extend", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), watching(stop):
        run_embed(config)
    assert ZarrStore(uri).read_attributes()["status"] == "partial"
    assert not [key for key in keys(s3_bucket) if key.endswith(".lock")]
    with watching() as seen:
        assert run_embed(config)["outcome"] == "resumed"
    assert len(seen["verify"]) == 2
    assert len(seen["extend"]) == 3
    embedding, indices = embedding_of(uri)
    expected = LandmarkMDS(3, selection=indices).fit(X).transform(X)
    np.testing.assert_allclose(embedding, expected, atol=1e-5 * np.abs(expected).max())
    config["output"]["overwrite"] = True
    config["method"]["n_components"] = 2
    assert run_embed(config)["components"] == 2
    np.testing.assert_allclose(embedding_of(uri)[0], expected[:, :2], atol=1e-5 * np.abs(expected).max())


def test_something_else_at_the_output(config: dict[str, Any], s3_bucket: str) -> None:
    put(f"{config['output']['uri']}/thesis.tex", b"years of work")
    config["output"]["overwrite"] = True
    with pytest.raises(InputError, match="no embedding of ours and is never overwritten"):
        run_embed(config)
    assert "out/e.zarr/thesis.tex" in keys(s3_bucket)


def test_an_output_bucket_that_is_not_there(config: dict[str, Any]) -> None:
    config["output"]["uri"] = "s3://no-such-bucket-here/e.zarr"
    with pytest.raises(InputError, match=r"s3://no-such-bucket-here/e\.zarr.*: .*the bucket does not exist"):
        run_embed(config)


def test_a_second_run_is_refused(config: dict[str, Any]) -> None:
    put(f"{config['output']['uri']}.lock", b'{"id": "other", "host": "elsewhere", "pid": 7}')
    with pytest.raises(InputError, match="process 7 on elsewhere is writing it now"):
        run_embed(config)
