"""Both flows on a real S3 server, Ceph's RGW on loopback: a mock cannot show whether conditional PUTs are atomic.

Runs where the server is installed (ceph-mon, ceph-osd and radosgw of the distribution, as root), and skips elsewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
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

from flows.base.progress import Progress
from flows.cli.verify import verify_place
from flows.embed.repair import repair
from landmark_ops import LandmarkMDS
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import lease, locations, swaps
from landmark_ops.stores.lock import OutputLock
from landmark_ops.stores.tables.claims import claim
from landmark_ops.stores.zarr_store import open_store
from tests.flows import test_late_writer
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
from tests.flows.interrupting import interrupt
from tests.flows.running import command, environment, make_config, open_output, points, run_embed
from tests.stores import test_swap

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("bare_page")]

PORT = 7480  # of the script that starts the server
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "curl", "uuidgen")
N, PER_SHARD = 48, 6

#: A shard per quarter of a second; the lease of a killed run ends soon.
SLOW = """
import time
import flows.detect.flow, flows.detect.shard_task
from landmark_ops.stores import lease
lease.LEASE_SECONDS, lease.REFRESH_SECONDS = 3.0, 0.5
flows.detect.flow.SHARD_BYTES, flows.detect.flow.COMMIT_SHARDS = 1, 2
plain = flows.detect.shard_task._detect
flows.detect.shard_task._detect = lambda *arguments: (plain(*arguments), time.sleep(0.25))[0]
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
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
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


def test_a_killed_run_is_finished_by_the_next(
    bucket: str,
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    monkeypatch.setattr(lease, "LEASE_SECONDS", 3.0)  # the next run judges, by the server's clock
    monkeypatch.setattr(lease, "REFRESH_SECONDS", 0.5)
    time.sleep(lease.LEASE_SECONDS + 2 * lease.ROUNDING_SECONDS)
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


@pytest.mark.usefixtures("many_tasks", "bare_report")
def test_embed(bucket: str) -> None:
    """A whole run, a second one that is killed and resumed, damage that is found and repaired."""
    X, uri = points(200), f"{bucket}/out/e.zarr"
    zarr.create_group(open_store(f"{bucket}/x.zarr")).create_array("rows", data=X, chunks=(40, 6))
    config = make_config(f"{bucket}/x.zarr", uri)
    assert run_embed(config)["outcome"] == "done"
    assert run_embed(config)["outcome"] == "already complete"
    group = open_output(uri)
    expected = LandmarkMDS(3, selection=group["landmarks/indices"][...]).fit(X).transform(X)
    before = group["embedding"][...]
    np.testing.assert_allclose(before, expected, atol=1e-5 * np.abs(expected).max())

    config["output"]["overwrite"] = True
    config["method"]["n_components"] = 2
    interrupt(config, count=3)
    again = open_output(uri)
    np.testing.assert_array_equal(again["embedding"][...], before)
    assert run_embed(config)["outcome"] == "resumed"
    for options in ({}, {"use_consolidated": False}):
        found: Any = zarr.open_group(open_store(uri), mode="r", **options)
        np.testing.assert_allclose(found["embedding"][...], expected[:, :2], atol=1e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(group["embedding"][...], before)
    assert not [key for key in listed(bucket) if key.endswith((".next", ".lock"))]

    config["output"]["overwrite"] = False
    array = found["embedding"]
    first, second = (f"{uri}/embedding/{array.metadata.encode_chunk_key((chunk, 0))}" for chunk in (0, 2))
    content = bytearray(locations.read_bytes(first))
    content[5] ^= 1
    locations.write_bytes(first, bytes(content))
    locations.remove(second)
    (verified,) = verify_place(uri)
    assert [f"{uri}/{damage.key}" for damage in verified.damaged] == [first, second]
    (mended,) = repair(EmbedConfig.model_validate(config), Progress())
    assert (mended.chunks, mended.metadata) == (2, 0)
    assert verify_place(uri)[0].damaged == []
    np.testing.assert_array_equal(open_output(uri)["embedding"][...], array[...])


def test_one_of_many_replacements_wins(bucket: str) -> None:
    """If-Match and If-None-Match decide: who saw an older object changes nothing."""
    uri = f"{bucket}/object"
    seen = None
    with ThreadPoolExecutor(16) as pool:
        for turn in range(10):
            data = [f"{turn} by {i}".encode() for i in range(16)]
            won = list(pool.map(lambda one, seen=seen: swaps.replace(uri, one, seen), data))
            assert won.count(True) == 1
            assert not swaps.replace(uri, b"late", seen)
            seen = swaps.see(uri)
            assert seen is not None
            assert seen.content == data[won.index(True)]
    locations.remove(uri)
    assert not swaps.replace(uri, b"of one that went", seen)
    assert not locations.exists(uri)


def test_leases(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of many has the lock; one that is not written any more is taken over, by one."""
    uri = f"{bucket}/out.zarr"

    def enter(_: int) -> OutputLock | None:
        try:
            return OutputLock(uri).__enter__()
        except InputError:
            return None

    with ThreadPoolExecutor(8) as pool:
        (lock,) = filter(None, pool.map(enter, range(8)))
        lock.fence.check()
        lock.__exit__(None, None, None)
        assert not locations.exists(f"{uri}.lock")
        with pytest.raises(RunError, match="has lost its lock, nobody holds it now"):
            lock.fence.check()
        locations.write_bytes(f"{uri}.lock", b'{"id": "dead", "host": "there", "pid": 7}')
        assert enter(0) is None
        monkeypatch.setattr(lease, "LEASE_SECONDS", 1.0)
        monkeypatch.setattr(lease, "REFRESH_SECONDS", 0.2)
        time.sleep(3.1)
        (lock,) = filter(None, pool.map(enter, range(8)))
        lock.fence.check()
        lock.__exit__(None, None, None)


@pytest.mark.parametrize("check", [test_swap.test_many_generations, test_swap.test_two_successors_one_swap])
def test_swaps(bucket: str, check: Callable[[str], None]) -> None:
    check(f"{bucket}/lake/out.zarr")


@pytest.mark.usefixtures("many_tasks", "bare_report")
def test_a_late_writer(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test_late_writer.test_on_s3(tmp_path, bucket, monkeypatch)
