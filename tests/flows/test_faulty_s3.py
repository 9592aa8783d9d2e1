"""Both flows on an S3 on a bad day: the same output at the first try, or one line that says what to do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import zarr

from landmark_ops.errors import RunError
from landmark_ops.stores import locations
from landmark_ops.stores.zarr_store import open_store
from tests.faulty_proxy import Faults, FaultyProxy, Request, at_random
from tests.flows.detecting_data import (
    TinyModels,
    bare_page,  # noqa: F401  a fixture
    detect_config,
    model_files,  # noqa: F401  a fixture
    run_detect,
    tar_bytes,
    tiny_models,  # noqa: F401  a fixture
    write_tars,
)
from tests.flows.running import make_config, open_output, points, run_embed, write_zarr

pytestmark = [pytest.mark.s3, pytest.mark.usefixtures("many_tasks", "bare_report", "bare_page", "hasty")]

X = points(200)


@pytest.fixture
def embedding(s3_bucket: str, s3_proxy: FaultyProxy) -> dict[str, Any]:
    """A Zarr source of ten chunks on S3, through the proxy."""
    zarr.create_group(open_store(f"{s3_bucket}/lake/x.zarr")).create_array("rows", data=X, chunks=(40, 6))
    return make_config(f"{s3_bucket}/lake/x.zarr", f"{s3_bucket}/out/e.zarr")


@pytest.fixture
def detection(s3_bucket: str, s3_proxy: FaultyProxy, tiny_models: TinyModels) -> dict[str, Any]:  # noqa: F811
    """Three shards of images on S3, through the proxy."""
    for shard in range(3):
        data = tar_bytes(range(shard * 4, shard * 4 + 4))
        locations.write_bytes(f"{s3_bucket}/in/{shard * 4:05}.tar", data)
    return detect_config(f"{s3_bucket}/in", f"{s3_bucket}/lake/lights", tiny_models.pipeline)


def embedded(config: dict[str, Any]) -> Any:
    return np.asarray(open_output(config["output"]["uri"])["embedding"][...])


def detected(config: dict[str, Any]) -> list[Any]:
    from landmark_ops.keypoints.schema import SCHEMAS
    from landmark_ops.stores.tables.tables import TableSet

    table = TableSet(config["output"]["uri"], SCHEMAS).dataset("keypoints").to_table()
    columns = ["image_id", "instance", "score", "box", "keypoints"]
    return table.sort_by([("image_id", "ascending"), ("instance", "ascending")]).select(columns).to_pylist()  # type: ignore[no-any-return]


ORDINARY, BUSY = at_random(0.05, 1), at_random(0.3, 1, ("slow_down",))


@pytest.mark.parametrize("faults", [ORDINARY, BUSY])
def test_embed(embedding: dict[str, Any], s3_proxy: FaultyProxy, tmp_path: Path, faults: Faults) -> None:
    local = make_config(write_zarr(tmp_path / "x.zarr", X, (40, 6)), tmp_path / "e.zarr")
    run_embed(local)
    s3_proxy.faults = faults
    assert run_embed(embedding)["outcome"] == "done"
    assert sum(s3_proxy.spoiled.values()) > 5
    s3_proxy.faults = lambda request: None
    np.testing.assert_array_equal(embedded(embedding), embedded(local))
    assert not [key for key in keys(embedding) if key.endswith(".lock")]


def test_detect(
    detection: dict[str, Any],
    s3_proxy: FaultyProxy,
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
) -> None:
    local = detect_config(write_tars(tmp_path / "in", 12, 4), tmp_path / "out", tiny_models.pipeline)
    expected = run_detect(local)
    s3_proxy.faults = ORDINARY
    found = run_detect(detection)
    assert sum(s3_proxy.spoiled.values()) > 5
    s3_proxy.faults = lambda request: None
    assert detected(detection) == detected(local)
    for name in ("images", "with_instances", "without", "failed", "instances"):
        assert found[name] == expected[name]


def keys(config: dict[str, Any]) -> list[str]:
    bucket = config["output"]["uri"].removeprefix("s3://").partition("/")[0]
    return [item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]


class From:
    """Spoils every request from the n-th on."""

    def __init__(self, proxy: FaultyProxy, number: int, kind: Any) -> None:
        self.start, self.kind = len(proxy.requests) + number, kind

    def __call__(self, request: Request) -> Any:
        return self.kind if request.number > self.start else None


@pytest.mark.parametrize(
    ("flow", "number", "kind", "message"),
    [
        ("embed", 0, "denied", "access is denied"),
        ("embed", 40, "denied", r"S3 refuses the credentials \(InvalidAccessKeyId\): check AWS_|access is denied"),
        ("embed", 100, "expired", "the credentials have expired|answers 400"),
        ("detect", 30, "expired", "the credentials have expired|answers 400"),
        ("detect", 60, "denied", r"S3 refuses the credentials|access is denied"),
        ("embed", 60, "reset", "S3 cannot be reached .*: check AWS_ENDPOINT_URL, the network"),
    ],
)
def test_s3_is_lost_in_mid_run(
    request: pytest.FixtureRequest, s3_proxy: FaultyProxy, flow: str, number: int, kind: Any, message: str
) -> None:
    """A key revoked or expired, or the server gone: the error names object, cause and remedy."""
    config = request.getfixturevalue("embedding" if flow == "embed" else "detection")
    s3_proxy.faults = From(s3_proxy, number, kind)
    began = time.perf_counter()
    with pytest.raises(RunError, match=message) as caught:
        run_embed(config) if flow == "embed" else run_detect(config)
    s3_proxy.faults = lambda request: None
    assert "s3://" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - began < 30
