"""Both flows on a real S3 server, Ceph's RGW on loopback: a mock cannot show whether conditional PUTs are atomic.

Runs where the server is installed (ceph-mon, ceph-osd and radosgw of the distribution, as root), and skips elsewhere.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import psutil
import pytest
import yaml
import zarr
from botocore.exceptions import ClientError
from deltalake import DeltaTable

from landmark_ops import LandmarkMDS
from landmark_ops.stores import locations
from landmark_ops.stores.claims import claim
from landmark_ops.stores.documents import open_group, store_of
from tests.flows.detecting_data import (
    TinyModels,
    bare_page,  # noqa: F401  a fixture
    blanks,
    detect_config,
    model_files,  # noqa: F401  a fixture
    run_detect,
    tar_bytes,
    tiny_models,  # noqa: F401  a fixture
)
from tests.flows.running import command, environment, make_config, points, run_embed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("bare_page")]

PORT = 7480  # of the script that starts the server
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "curl", "uuidgen")
N, PER_SHARD = 48, 6

#: A shard per quarter of a second; the lease of a killed run ends soon.
SLOW = """
import time
import flows.detect, flows.detecting
from landmark_ops.stores import lease
lease.LEASE_SECONDS, lease.REFRESH_SECONDS = 3.0, 0.5
flows.detect.SHARD_BYTES, flows.detect.COMMIT_SHARDS = 1, 2
plain = flows.detecting._detect
flows.detecting._detect = lambda *arguments: (plain(*arguments), time.sleep(0.25))[0]
"""


@pytest.fixture(scope="module")
def rgw(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Endpoint of a fresh server that keeps all in memory; AWS_* of this process point at it."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no real S3 server here: {', '.join(missing)} not installed")
    if os.geteuid() != 0:
        pytest.skip("the RGW script must be run as root")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            pytest.skip(f"something listens on port {PORT} already")
    folder = tmp_path_factory.mktemp("rgw")
    script = shared / "tools" / "rgw.sh"
    try:
        started = subprocess.run(
            ["bash", str(script)],
            env={**os.environ, "RGW_DIR": str(folder)},
            stdout=subprocess.DEVNULL,  # the daemons keep it open
            stderr=subprocess.DEVNULL,
            timeout=180,
            check=False,
        )
        assert started.returncode == 0, f"{script.name} ended with {started.returncode}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{PORT}")
            patch.setenv("AWS_ACCESS_KEY_ID", "probe")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "probesecret")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            patch.setenv("AWS_REGION", "us-east-1")
            wait_for_user()
            yield f"http://127.0.0.1:{PORT}"
    finally:
        for name in ("client.rgw", "osd.0", "mon.a"):  # the OSD before the mon
            stop(folder / f"{name}.pid")


def wait_for_user(seconds: float = 60) -> None:
    """On a busy machine the server answers before it knows its user.

    A session of its own each time: boto3's default one remembers the credentials of whatever test made it.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            boto3.session.Session().client("s3").list_buckets()
        except ClientError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
        else:
            return


def stop(pid_file: Path) -> None:
    """End a daemon by its own pid file, and wait for it."""
    with suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
        process = psutil.Process(int(pid_file.read_text()))
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except psutil.TimeoutExpired:
            process.kill()


@pytest.fixture
def bucket(rgw: str, request: pytest.FixtureRequest) -> str:
    """s3:// address of a new, empty bucket."""
    name = request.node.name.replace("_", "-").lower()[:60]
    boto3.session.Session().client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"


def table(uri: str, name: str) -> list[dict[str, Any]]:
    options = locations.delta_options(uri)
    return list(DeltaTable(f"{uri}/{name}", storage_options=options).to_pyarrow_table().to_pylist())


def test_one_of_many_claims_wins(bucket: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        for turn in range(10):
            uri = f"{bucket}/claims/{turn}"
            held = list(pool.map(lambda by, uri=uri: claim(uri, by), [f"{turn} by {i}".encode() for i in range(16)]))
            assert set(held) == {locations.read_bytes(uri)}


def test_a_killed_run_is_finished_by_the_next(bucket: str, tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    """SIGKILL in the middle; when its lease has ended, a rerun leaves exactly one row set per image."""
    for start in range(0, N, PER_SHARD):
        data = tar_bytes(range(start, start + PER_SHARD))
        boto3.session.Session().client("s3").put_object(
            Bucket=bucket.removeprefix("s3://"), Key=f"in/{start:05d}.tar", Body=data
        )
    output = f"{bucket}/lake/lights"
    config = detect_config(f"{bucket}/in", output, tiny_models.pipeline, cluster={"workers": 1})
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    process = subprocess.Popen(command("detect", path, "--quiet", setup=SLOW), env=environment())
    try:
        deadline = time.monotonic() + 120
        while not [item for item in listed(f"{output}/shards") if item.endswith(".parquet")]:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    assert listed(f"{output}/_landmark_ops/claims") or listed(f"{output}/_landmark_ops/attempts")
    time.sleep(3.5)
    result = run_detect(config)
    assert (result["outcome"], result["images"], result["without"]) == ("done", N, blanks(range(N)))
    assert 0 < result["this_run"] < N
    images = Counter(row["image_id"] for row in table(output, "images"))
    assert len(images) == N
    assert set(images.values()) == {1}
    found = Counter(row["image_id"] for row in table(output, "keypoints"))
    assert found == {row["image_id"]: row["instances"] for row in table(output, "images") if row["instances"]}
    assert listed(f"{output}/_landmark_ops/claims") == listed(f"{output}/_landmark_ops/attempts") == []
    assert run_detect(config)["outcome"] == "nothing new"


def listed(uri: str) -> list[str]:
    return [item.key for item in locations.list_objects(uri)] if locations.is_folder(uri) else []


@pytest.mark.usefixtures("many_tasks")
def test_embed(bucket: str) -> None:
    X = points(200)
    zarr.create_group(store_of(f"{bucket}/x.zarr")).create_array("rows", data=X, chunks=(40, 6))
    config = make_config(f"{bucket}/x.zarr", f"{bucket}/out/e.zarr")
    assert run_embed(config)["outcome"] == "done"
    assert run_embed(config)["outcome"] == "already complete"
    group: Any = open_group(f"{bucket}/out/e.zarr", "r")
    expected = LandmarkMDS(3, selection=group["landmarks/indices"][...]).fit(X).transform(X)
    np.testing.assert_allclose(group["embedding"][...], expected, atol=1e-5 * np.abs(expected).max())
