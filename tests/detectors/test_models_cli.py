from __future__ import annotations

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.models import app
from tests.detectors.tiny_onnx import onnx_bytes


@pytest.fixture
def landmarks(cache):
    """Run `landmarks models …`; returns exit code, stdout, stderr."""

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def own_specs(make_spec, tmp_path):
    """A folder with the spec and the file of one tiny model."""
    folder = tmp_path / "mine"
    (folder / "tiny").mkdir(parents=True)
    spec = make_spec(onnx_bytes(), licence_notes=["Only on Sundays."])
    (folder / "tiny/tiny.onnx").write_bytes(onnx_bytes())
    (folder / "tiny.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json", exclude_none=True)))
    return folder


def test_list_shows_all(landmarks, own_specs):
    code, out, _ = landmarks("list", "--specs", own_specs)
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert code == 0
    assert len(rows) == 1 + 19 + 1
    assert rows["facemesh-468"] == ["face-mesh-468", "Apache-2.0", "2.43", "MB", "no"]
    assert rows["tiny"][-1] == "yes"


def test_show_tells_the_traps(landmarks):
    code, out, _ = landmarks("show", "3ddfa-mb05")
    assert code == 0
    assert "research only" in out
    assert "Basel Face Model" in out
    assert "mean: 62 values" in out
    assert "d500edb7b1c7a2aa943fb9da2372d4e4a94649cb51763493047181900d6b8286" in out


def test_pull_and_verify(landmarks, own_specs):
    code, out, _ = landmarks("pull", "tiny", "--specs", own_specs)
    assert (code, out) == (0, f"tiny  {own_specs}/tiny/tiny.onnx\n")
    code, out, _ = landmarks("verify", "tiny", "--specs", own_specs)
    assert (code, out.split()[:2]) == (0, ["ok", "tiny"])
    (own_specs / "tiny/tiny.onnx").write_bytes(b"other")
    code, out, err = landmarks("verify", "--specs", own_specs)
    assert code == 2
    assert "wrong  tiny" in out
    assert "1 of 20 model files are not what their specs say" in err
    code, _, err = landmarks("verify", "yunet-n")
    assert code == 2
    assert "not here: yunet-n: landmarks models pull yunet-n" in err


def test_mistakes_end_in_one_line(landmarks, monkeypatch, tmp_path):
    code, _, err = landmarks("show", "yunet")
    assert (code, err.count("\n")) == (2, 1)
    assert "did you mean yunet-" in err
    code, _, err = landmarks("pull")
    assert (code, err) == (2, "landmarks: models pull: no model is named: name some, or give --all\n")
    code, _, err = landmarks("pull", "retinaface-mnet025")
    assert (code, err.count("\n")) == (2, 1)
    monkeypatch.setenv("LANDMARKS_MODEL_MIRROR", str(tmp_path / "none"))
    code, _, err = landmarks("list")
    assert (code, err.count("\n")) == (2, 1)


def test_pull_goes_on_after_a_failure(landmarks, own_specs):
    code, out, err = landmarks("pull", "retinaface-mnet025", "movenet-lightning", "tiny", "--specs", own_specs)
    assert code == 2
    assert out.startswith("tiny  ")
    assert "2 of 3 models could not be pulled" in err


def test_pull_all_from_a_mirror(landmarks, real_models):
    code, out, err = landmarks("pull", "--all", "--quiet")
    assert (code, out, err) == (0, "", "")
    code, out, _ = landmarks("verify")
    assert code == 0
    assert out.count("ok     ") == 19
