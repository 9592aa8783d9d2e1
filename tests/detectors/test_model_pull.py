from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from landmark_ops.detectors import download
from landmark_ops.detectors.download import https_blocks
from landmark_ops.detectors.model_cache import cache_folder
from landmark_ops.detectors.model_file import is_local, read_model, resolve, verify
from landmark_ops.errors import InputError, RunError

DATA = bytes(range(256)) * 4096  # 1 MiB
WRONG = DATA[:-1] + b"!"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(download, "RETRY_WAITS", (0.0, 0.0))


@pytest.fixture
def upstream(make_spec, https_server):
    """A spec whose url is served by https_server, with the right bytes."""
    https_server.files["/tiny.onnx"] = DATA
    return make_spec(DATA, url=f"{https_server.url}/tiny.onnx")


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_pull_puts_the_file_into_the_cache_once(upstream, https_server, cache):
    seen = []
    path = resolve(upstream, progress=lambda *step: seen.append(step))
    assert path == cache / "tiny/tiny.onnx"
    assert path.read_bytes() == DATA == read_model(upstream)
    assert seen[-1] == ("tiny", len(DATA), len(DATA))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert https_server.requests == ["/tiny.onnx"]
    assert is_local(upstream)
    assert leftovers(cache) == ["tiny.onnx"]


@pytest.mark.parametrize("body", [WRONG, DATA + b"more"], ids=["other bytes", "too long"])
def test_a_wrong_download_is_refused_and_not_kept(upstream, https_server, cache, body):
    https_server.files["/tiny.onnx"] = body
    with pytest.raises(InputError, match=r"model tiny: https://.*(has sha256 \w{64}, expected|sends more than)"):
        resolve(upstream)
    assert leftovers(cache) == []
    assert len(https_server.requests) == 1  # trying again would bring the same


def test_a_truncated_download_is_tried_again_then_told(upstream, https_server, cache):
    https_server.faults["/tiny.onnx"] = ["cut", "503"]
    assert resolve(upstream).read_bytes() == DATA
    assert len(https_server.requests) == 3
    (cache / "tiny/tiny.onnx").unlink()
    https_server.faults["/tiny.onnx"] = ["cut"] * 3
    with pytest.raises(RunError, match=r"ended after 524,288 of 1,048,576 bytes: set LANDMARKS_MODEL_MIRROR to"):
        resolve(upstream)
    assert leftovers(cache) == []


def test_an_absent_file_is_told_at_once(upstream, https_server, cache):
    https_server.files.clear()
    with pytest.raises(
        RunError, match=r"answers 404 Not Found: set LANDMARKS_MODEL_MIRROR .* that holds tiny/tiny.onnx"
    ):
        resolve(upstream)
    assert len(https_server.requests) == 1


def test_redirects_leave_https_nowhere(upstream, https_server, cache):
    https_server.faults["/tiny.onnx"] = ["http://127.0.0.1:9/tiny.onnx"]
    with pytest.raises(InputError, match=r"redirects to http://127.0.0.1:9/tiny.onnx: only https:// is followed"):
        resolve(upstream)


def test_a_stranger_certificate_is_refused(upstream, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(RunError, match="certificate verify failed"):
        resolve(upstream)


def test_no_network_is_a_failure_with_a_remedy(make_spec):
    spec = make_spec(DATA, url="https://127.0.0.1:9/tiny.onnx")
    with pytest.raises(RunError, match=r"model tiny: .* cannot be read: .*refused: set LANDMARKS_MODEL_MIRROR"):
        resolve(spec)


def test_only_https_is_fetched():
    with pytest.raises(InputError, match="only https:// addresses are fetched"):
        https_blocks("file:///somewhere", list)


def test_a_damaged_cache_is_fetched_anew(upstream, https_server, cache):
    resolve(upstream).write_bytes(WRONG)
    assert verify(upstream).state == "wrong"
    assert resolve(upstream).read_bytes() == DATA
    assert verify(upstream)[:3] == ("tiny", "ok", cache / "tiny/tiny.onnx")
    assert len(https_server.requests) == 2


def test_a_folder_as_mirror_is_used_in_place(upstream, https_server, cache, tmp_path, monkeypatch):
    held = tmp_path / "mirror/tiny/tiny.onnx"
    held.parent.mkdir(parents=True)
    held.write_bytes(DATA)
    monkeypatch.setenv("LANDMARKS_MODEL_MIRROR", str(tmp_path / "mirror"))
    assert resolve(upstream) == held
    assert not cache.exists()
    held.write_bytes(WRONG)
    with pytest.raises(InputError, match=r"tiny.onnx has sha256 \w{64}, expected \w{64}: it is not loaded: replace it"):
        resolve(upstream)
    assert https_server.requests == []
    held.unlink()  # a mirror need not hold everything
    assert resolve(upstream) == cache / "tiny/tiny.onnx"


def test_a_mirror_that_is_nowhere_is_a_mistake(upstream, monkeypatch, tmp_path):
    monkeypatch.setenv("LANDMARKS_MODEL_MIRROR", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"LANDMARKS_MODEL_MIRROR: .*none is no folder"):
        resolve(upstream)


@pytest.mark.s3
def test_s3_as_mirror(upstream, https_server, cache, s3_models, monkeypatch):
    from landmark_ops.stores.locations import write_bytes

    monkeypatch.setenv("LANDMARKS_MODEL_MIRROR", s3_models)
    write_bytes(f"{s3_models}/tiny/tiny.onnx", DATA)
    assert verify(upstream).state == "absent"
    assert resolve(upstream) == cache / "tiny/tiny.onnx"
    assert read_model(upstream) == DATA
    assert https_server.requests == []
    other = upstream.model_copy(update={"file": "other/other.onnx"})  # not on the mirror: upstream has it
    assert resolve(other).read_bytes() == DATA
    assert https_server.requests == ["/tiny.onnx"]
    write_bytes(f"{s3_models}/bad/bad.onnx", WRONG)
    with pytest.raises(InputError, match=r"s3://models/mirror/bad/bad.onnx has sha256 \w{64}, expected \w{64}"):
        resolve(upstream.model_copy(update={"file": "bad/bad.onnx"}))
    assert leftovers(cache) == ["other.onnx", "tiny.onnx"]


def test_a_file_of_ones_own_lies_beside_its_spec(make_spec, cache, tmp_path):
    spec = make_spec(DATA, folder=str(tmp_path / "mine"))
    with pytest.raises(InputError, match="is neither beside its spec nor on a mirror, and the spec has no url"):
        resolve(spec)
    held = tmp_path / "mine/tiny/tiny.onnx"
    held.parent.mkdir(parents=True)
    held.write_bytes(DATA)
    assert resolve(spec) == held
    held.write_bytes(WRONG)
    with pytest.raises(InputError, match="or correct the spec if the file is meant"):
        resolve(spec)
    assert held.read_bytes() == WRONG  # the user's file is theirs


def test_formats_without_a_converter_say_so(make_spec, https_server):
    original = {"url": f"{https_server.url}/net.pth", "sha256": "0" * 64, "size_bytes": 9}
    spec = make_spec(DATA, conversion={"format": "torch", "originals": [original]})
    with pytest.raises(InputError, match="is published as torch weights, which are not converted here: set LANDMARKS_"):
        resolve(spec)
    assert https_server.requests == []


def test_two_processes_pull_once(upstream, https_server, cache, tmp_path):
    path = tmp_path / "tiny.yaml"
    values = upstream.model_dump(mode="json", exclude_none=True)
    path.write_text(yaml.safe_dump(values))
    code = (
        "from landmark_ops.detectors.models import read_spec; "
        "from landmark_ops.detectors.model_file import read_model; "
        f"print(len(read_model(read_spec({str(path)!r}))))"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for run in runs:
        out, err = run.communicate(timeout=60)
        assert (out.strip(), err) == (str(len(DATA)), "")
    assert https_server.requests == ["/tiny.onnx"]
    assert leftovers(cache) == ["tiny.onnx"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_cache_that_cannot_be_written(upstream, cache):
    cache.mkdir()
    cache.chmod(0o500)
    with pytest.raises(RunError, match="cannot be written: Permission denied: set LANDMARKS_MODEL_CACHE"):
        resolve(upstream)


def test_a_cache_that_is_a_file(upstream, cache):
    cache.write_bytes(b"")
    with pytest.raises(RunError, match=r"the model cache .* cannot be written: .*: set LANDMARKS_MODEL_CACHE"):
        resolve(upstream)


def test_where_the_cache_lies(monkeypatch):
    monkeypatch.delenv("LANDMARKS_MODEL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/landmark-ops/models")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/landmark-ops/models")
