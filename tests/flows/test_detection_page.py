"""docs/detection.md: its examples are run as they stand, and its tables are compared with the code."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from landmark_ops.configs.detect import DetectConfig
from landmark_ops.detectors.decoder import DECODERS, Finder
from landmark_ops.detectors.pipelines import list_pipelines
from landmark_ops.detectors.spec import parse_spec
from landmark_ops.detectors.thresholds import LIMITS, SETTINGS
from landmark_ops.keypoints.landmark_sets import available
from tests.flows.detecting_data import bare_page, rows, run_detect  # noqa: F401  a fixture

PAGE = (Path(__file__).parents[2] / "docs/detection.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S)
FILES = {text.splitlines()[0].removeprefix("# "): text for kind, text in BLOCKS if kind == "yaml" and text[0] == "#"}


def table_under(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, cell by cell."""
    part = PAGE.split(f"\n{heading}\n", 1)[1]
    lines = re.search(r"^\|.*?\n\n", part, re.M | re.S)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.group().strip().splitlines()[2:]]


def words(text: str) -> list[str]:
    return re.findall(r"`([a-z0-9_-]+)`", text)


def test_every_pipeline_set_and_threshold_is_named() -> None:
    named = [name for row in table_under("## Pipelines") for name in words(row[0])]
    assert sorted(named) == sorted(chosen.name for chosen in list_pipelines())
    assert set(available()) <= set(words(PAGE))
    thresholds = {words(row[0])[0]: row for row in table_under("## Thresholds and `max_side`")}
    assert thresholds.keys() == SETTINGS.keys()
    assert f"{LIMITS['max_side'][0]:.0f} to {LIMITS['max_side'][1]:.0f} px" in thresholds["max_side"][2]


def test_every_decoder_is_listed_with_its_parameters() -> None:
    listed = {}
    for decoder, outputs, parameters in table_under("### Decoders"):
        listed[words(decoder)[0]] = parameters
        assert outputs
        assert ("finds" in decoder) == isinstance(DECODERS[words(decoder)[0]], Finder)
    assert tuple(sorted(listed)) == DECODERS.names
    for decoder, text in listed.items():
        known = {
            key: value for key, value in DECODERS[decoder].parameters.items() if key not in ("bilinear_up_to", "points")
        }
        assert words(text) == list(dict.fromkeys(words(text)))
        assert set(words(text)) == set(known), decoder
        required = [key for key in words(text) if known[key].required]
        assert words(text)[: len(required)] == required, decoder


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "yaml"])
def test_every_example_is_valid(text: str) -> None:
    data = yaml.safe_load(text)
    if "source" in data:
        DetectConfig.model_validate(data)
    elif "sha256" in data:
        assert parse_spec(data, "the page").decoder == "regression68"
    elif "detector" in data:
        DetectConfig.model_validate(data | {"source": {"uri": "a"}, "output": {"uri": "b"}})
    else:
        assert {"names", "numbered"} & data.keys() or "steps" in data


def own_net() -> bytes:
    """98 points at known shares of the crop, whatever it shows."""
    shares = np.stack([0.25 + 0.5 * np.arange(98) / 98, np.full(98, 0.5)], axis=1).reshape(1, -1).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
            helper.make_node("Reshape", ["nothing", "column"], ["each"]),
            helper.make_node("Add", ["each", "shares"], ["points"]),
        ],
        "own",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 64, 64])],
        [helper.make_tensor_value_info("points", TensorProto.FLOAT, ["N", 196])],
        [
            numpy_helper.from_array(np.float32(0), "zero"),
            numpy_helper.from_array(np.array([-1, 1], np.int64), "column"),
            numpy_helper.from_array(shares, "shares"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


@pytest.fixture
def workplace(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page, pictures, and the net whose hash and size are filled in."""
    data = own_net()
    (tmp_path / "own-98.onnx").write_bytes(data)
    (tmp_path / "pictures").mkdir()
    Image.open(shared / "images" / "astronaut.png").convert("RGB").save(tmp_path / "pictures/a.png")
    for name, text in FILES.items():
        text = text.replace("f" * 64, hashlib.sha256(data).hexdigest()).replace(
            "size_bytes: 1\n", f"size_bytes: {len(data)}\n"
        )
        (tmp_path / name).write_text(text.replace("s3://lake/shards/", "pictures"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANDMARKS_MODEL_MIRROR", str(shared / "models"))
    monkeypatch.setenv("LANDMARKS_MODEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LANDMARKS_PROVIDERS", raising=False)
    return tmp_path


def run(name: str) -> dict[str, Any]:
    return run_detect(yaml.safe_load(Path(name).read_text()) | {"cluster": {"workers": 1}, "report": {"sample": 1}})


@pytest.mark.usefixtures("bare_page")
def test_the_whole_way_to_a_net_of_ones_own(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = next(text for kind, text in BLOCKS if not kind and "own.yaml" in text)
    variable, value = command.split()[0].split("=")
    assert command.split()[1:] == ["landmarks", "detect", "own.yaml"]
    monkeypatch.setenv(variable, value)
    done = run("own.yaml")
    assert (done["instances"], done["warnings"]) == (1, [])
    (row,) = rows(workplace / "lake/own")
    assert row["landmark_set"] == "wflw-98"
    box = row["box"]
    x, y = (box["x0"] + box["x1"]) / 2, (box["y0"] + box["y1"]) / 2
    side = 1.25 * max(box["x1"] - box["x0"], box["y1"] - box["y0"])
    found = np.array([[point["x"], point["y"]] for point in row["keypoints"]])
    np.testing.assert_allclose(found[:, 0], x + (0.25 + 0.5 * np.arange(98) / 98 - 0.5) * side, atol=0.01)
    np.testing.assert_allclose(found[:, 1], y, atol=0.01)


@pytest.mark.usefixtures("bare_page")
def test_the_other_examples_run_and_read(workplace: Path) -> None:
    assert run("thresholds.yaml")["instances"] == 1
    assert run("faces.yaml")["instances"] == 1
    (snippet,) = [text for kind, text in BLOCKS if kind == "python"]
    scope: dict[str, Any] = {}
    exec(snippet, scope)  # the page's own
    assert list(scope["good"].columns) == ["image_id", "score", "box"]
    assert len(scope["good"]) == 1
