"""Pipelines, specs and files of a user's own that do not fit together: told in one line, before anything runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from landmark_ops.detectors.api import detect
from landmark_ops.detectors.models import get_spec, read_spec
from landmark_ops.detectors.pipelines import get_pipeline, list_pipelines
from landmark_ops.detectors.session import Session, load_session
from landmark_ops.detectors.trial import is_shipped, try_out
from landmark_ops.errors import InputError

SIDE = 16


def net(values: np.ndarray, *, plus: str = "zero", batch: int | str = "N", side: int = SIDE) -> bytes:
    """A net that gives `values`, (…) for each image, whatever it sees.

    plus: what is added: zero; each image's mean; the mean of the whole batch, as a file exported in training mode.
    """
    held = {
        "values": values[None].astype(np.float32),
        "each": np.float32(1e-2 if plus == "mean" else 0),
        "all": np.float32(1e-2 if plus == "batch" else 0),
        "shape": np.array([-1, *[1] * values.ndim], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["one"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["one"], ["whole"], axes=[0], keepdims=1),
        helper.make_node("Mul", ["one", "each"], ["mine"]),
        helper.make_node("Mul", ["whole", "all"], ["ours"]),
        helper.make_node("Add", ["mine", "ours"], ["sum"]),
        helper.make_node("Reshape", ["sum", "shape"], ["plus"]),
        helper.make_node("Add", ["plus", "values"], ["out"]),
        helper.make_node("Identity", ["out"], ["out2"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *values.shape]) for name in ("out", "out2")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


@pytest.fixture
def tried(tmp_path: Path, cache: Path, nothing_loaded: None) -> Callable[..., None]:
    """Writes a net, its spec and a pipeline of one step on the whole image, and tries them; keywords: the spec."""

    def run(data: bytes, pipeline: dict[str, Any] | None = None, /, **changed: Any) -> None:
        (tmp_path / "own.onnx").write_bytes(data)
        spec = {
            "name": "own",
            "file": "own.onnx",
            "licence": "mine",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_bytes": len(data),
            "input": {"width": SIDE, "height": SIDE, "fit": "crop"},
            "outputs": ["out"],
            "decoder": "regression68",
        }
        (tmp_path / "own.spec.yaml").write_text(yaml.safe_dump(spec | changed))
        base = {"title": "t", "landmark_set": None, "points": 5, "steps": [{"name": "a", "model": "own"}]}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(base | (pipeline or {})))
        own = read_spec(tmp_path / "own.spec.yaml")

        def sessions(name: str) -> Session:
            return load_session(own if name == "own" else get_spec(name))

        chosen = get_pipeline(tmp_path / "mine.yaml")
        assert not is_shipped(chosen)
        try_out(chosen, sessions)

    return run


FIVE = np.linspace(0, 0.9, 10)


@pytest.mark.parametrize("plus", ["zero", "mean"])
def test_what_fits_passes(tried: Callable[..., None], plus: str) -> None:
    tried(net(FIVE, plus=plus))
    tried(net(FIVE, plus=plus, batch=4), input={"width": SIDE, "height": SIDE, "max_batch": 4})
    tried(net(FIVE, plus=plus), {"landmark_set": "face-5"}, landmark_set="face-5", parameters={"points": 5})


def step(**rules: Any) -> dict[str, Any]:
    return {"steps": [{"name": "a", "model": "own", **rules}]}


@pytest.mark.parametrize(
    ("pipeline", "spec", "message"),
    [
        ({"points": 98}, {}, "pipeline mine: its nets give 5 points, points says 98"),
        ({"landmark_set": "face-5"}, {"landmark_set": "own-5"}, "landmark_set is face-5, the spec of own says own-5"),
        ({}, {"parameters": {"points": 68}}, "model own: gives 5 points, parameters.points says 68"),
        (
            step(again={"around": "points", "points": [0, 5]}),
            {},
            "step a: again names point 5, there are 5: points count",
        ),
        ({}, {"decoder": "movenet"}, r"model own: the net's y, x and score has shape \(3, 10\), its decoder needs 51"),
        ({}, {"decoder": "heatmap"}, r"heatmap has shape \(3, 10\): decoder heatmap needs"),
        ({}, {"decoder": "simcc"}, "the spec lists 1 outputs, its decoder needs 2: simcc_x, simcc_y, in this order"),
        ({}, {"decoder": "face_mesh"}, "needs 2: landmarks, face flag, in this order"),
        (
            {},
            {"decoder": "ultralight", "parameters": {"score_threshold": 0.5, "nms_iou": 0.3}},
            "decoder 'ultralight' locates no points in crops; valid: blazepose",
        ),
        ({}, {"input": {}}, "a net that reads points in crops needs input.width and input.height|axis 2 of the file"),
    ],
)
def test_what_does_not_fit_is_told(
    tried: Callable[..., None], pipeline: dict[str, Any], spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        tried(net(FIVE), pipeline, **spec)


def test_pixels_are_not_taken_for_shares_nor_shares_for_pixels(tried: Callable[..., None]) -> None:
    wide = {"width": 192, "height": 192, "fit": "crop"}
    pixels = np.linspace(3, SIDE - 3, 10)
    with pytest.raises(InputError, match="model own: its points lie 8 crops away from the crop: decoder regression68"):
        tried(net(pixels))
    with pytest.raises(InputError, match="all its points lie in the first 2 pixels of the crop: decoder iris takes"):
        tried(
            net(np.linspace(0.1, 0.9, 15), side=192),
            {"points": 5},
            input=wide,
            decoder="iris",
            outputs=["out", "out2"],
        )


@pytest.mark.parametrize(
    ("decoder", "shape", "message"),
    [
        ("heatmap", (SIDE, SIDE, 17), r"heatmap has 16 rows and 17 columns|its nets give 16 points, points says 5"),
        (
            "heatmap",
            (8, 8, 5),
            "heatmap has 8 rows and 5 columns for an input of 16 x 16 px: decoder heatmap needs maps",
        ),
    ],
)
def test_heatmaps_with_points_last_are_refused(
    tried: Callable[..., None], decoder: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        tried(net(np.ones(shape)), decoder=decoder)


def test_notebooks_try_it_too(tmp_path: Path, tried: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    tried(net(FIVE, plus="mean"))
    monkeypatch.setenv("LANDMARKS_MODEL_SPECS", str(tmp_path / "own.spec.yaml"))
    picture = np.zeros((32, 48, 3), np.uint8)
    (found,) = detect(picture, tmp_path / "mine.yaml")
    assert found.keypoints.shape == (1, 5, 3)
    rule = {"again": {"around": "points", "points": [0, 7]}, "again_always": True}
    mine = yaml.safe_load((tmp_path / "mine.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine | step(**rule)))
    with pytest.raises(InputError, match="step a: again names point 7, there are 5"):
        detect(picture, tmp_path / "mine.yaml")
    spec = yaml.safe_load((tmp_path / "own.spec.yaml").read_text()) | {"parameters": {"pixel_offset": 8.0}}
    (tmp_path / "own.spec.yaml").write_text(yaml.safe_dump(spec))  # a changed spec counts at once
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    (moved,) = detect(picture, tmp_path / "mine.yaml")
    np.testing.assert_allclose(moved.keypoints[..., :2] - found.keypoints[..., :2], 8 * 48 / SIDE)


def test_answers_that_depend_on_the_batch_are_refused_unless_it_is_one(tried: Callable[..., None]) -> None:
    with pytest.raises(
        InputError, match=r"output out of a picture changes with the pictures beside it \(by .*max_batch"
    ):
        tried(net(FIVE, plus="batch"))
    one = {"width": SIDE, "height": SIDE, "fit": "crop", "max_batch": 1}
    tried(net(FIVE, plus="batch"), input=one)


FINDER = {"score_threshold": 0.5, "nms_iou": 0.3}


@pytest.mark.parametrize(
    ("values", "spec", "message"),
    [
        (
            np.zeros((4, 8)),
            {"decoder": "blaze_ssd", "parameters": {**FINDER, "strides": [8], "anchors_per_cell": [1], "keypoints": 2}},
            "the spec lists 1 outputs, its decoder needs 2: regressors, scores",
        ),
        (np.zeros((4, 2)), {"decoder": "ultralight", "parameters": FINDER}, "needs 2: scores, boxes"),
        (
            np.zeros(3),
            {"decoder": "yunet", "parameters": {**FINDER, "strides": [8, 16]}},
            "needs 8: cls_8, cls_16, obj_8",
        ),
    ],
)
def test_finders_are_tried_too(
    tried: Callable[..., None], values: np.ndarray, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        tried(net(values), {"find": "own", "steps": [], "points": 0}, **spec)


def test_a_net_that_runs_on_no_input_of_the_spec_is_told(tried: Callable[..., None]) -> None:
    """A file whose axes are all free does not say its layout; its first operator does."""
    kernel = numpy_helper.from_array(np.zeros((10, 3, SIDE, SIDE), np.float32), "kernel")
    shape = numpy_helper.from_array(np.array([-1, 10], np.int64), "shape")
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "kernel"], ["wide"]),
            helper.make_node("Reshape", ["wide", "shape"], ["out"]),
        ],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", "a", "b", "c"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", 10])],
        [kernel, shape],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    data = model.SerializeToString()
    tried(data)
    with pytest.raises(InputError, match=r"tried on pictures of 16 x 16 px before the run: check input\.layout"):
        tried(data, input={"width": SIDE, "height": SIDE, "layout": "NHWC"})


def test_the_shipped_pipelines_would_pass(real_models: Path) -> None:
    for chosen in list_pipelines():
        try_out(chosen, lambda name: load_session(get_spec(name)))
        assert is_shipped(chosen)
