"""Pipelines with nets made of NumPy: geometry, batches, own boxes and messages, without any weights.

The finder sees a marked blob, the point net answers with the brightness centroid of its crop, so what comes back must
be the blob's sub-pixel place in the picture, whatever was cropped, turned, shrunk or mirrored in between.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from landmark_ops.detectors import crops
from landmark_ops.detectors.api import detect
from landmark_ops.detectors.crops import per_run
from landmark_ops.detectors.finder_input import fit, same_size
from landmark_ops.detectors.instances import Instances
from landmark_ops.detectors.models import get_spec
from landmark_ops.detectors.pipeline_run import run_pipeline
from landmark_ops.detectors.pipeline_spec import Pipeline, RegionRule, Step
from landmark_ops.detectors.pipelines import get_pipeline, list_pipelines
from landmark_ops.detectors.regions import outside, regions
from landmark_ops.detectors.spec import ModelSpec
from landmark_ops.errors import InputError

BLOB = 3.0  # sigma in pixels


def picture(width: int, height: int, *blobs: tuple[float, float]) -> NDArray[np.uint8]:
    """Gaussian blobs on black."""
    y, x = np.mgrid[:height, :width]
    light = sum(np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * BLOB**2)) for u, v in blobs) if blobs else 0 * x
    return np.repeat((255 * np.clip(light, 0, 1)).round().astype(np.uint8)[..., None], 3, axis=2)


class Net:
    """Stands for a session: its spec, and NumPy in place of the network. Counts the batches it was given."""

    def __init__(self, answer: Callable[[NDArray[Any]], list[NDArray[Any]]], **spec: Any) -> None:
        values = {"file": "a/b.onnx", "licence": "MIT", "sha256": "0" * 64, "size_bytes": 1, "outputs": ["out"]}
        self.spec = ModelSpec.model_validate(values | spec)
        self.answer = answer
        self.batches: list[int] = []

    def prepare(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return images

    def run(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        self.batches.append(len(batch))
        return self.answer(batch)


def centroids(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, 2) places of the light in each crop, in shares of the crop as regression68 reads them."""
    light = crops[..., 0].astype(float)
    total = np.maximum(light.sum(axis=(1, 2)), 1e-9)
    x = (light.sum(axis=1) * np.arange(crops.shape[2])).sum(axis=1) / total / crops.shape[2]
    y = (light.sum(axis=2) * np.arange(crops.shape[1])).sum(axis=1) / total / crops.shape[1]
    return np.stack([x, y], axis=1)


def found_by_light(images: NDArray[np.uint8]) -> list[NDArray[Any]]:
    """An Ultra-Light head with one box around the light of each image, score by whether there is any."""
    scores, boxes = np.zeros((len(images), 1, 2)), np.zeros((len(images), 1, 4))
    for i, (image, place) in enumerate(zip(images, centroids(images), strict=True)):
        scores[i, 0, 1] = 0.9 * (image.max() > 50)
        half = np.array([10 / image.shape[1], 8 / image.shape[0]])
        boxes[i, 0] = [*(place - half), *(place + half)]
    return [scores, boxes]


@pytest.fixture
def nets() -> dict[str, Net]:
    square = {"width": 64, "height": 64, "fit": "crop"}
    return {
        "finder": Net(
            found_by_light,
            name="finder",
            decoder="ultralight",
            input={"width": 160, "height": 160, "fit": "letterbox_centre"},
            parameters={"score_threshold": 0.5, "nms_iou": 0.3},
        ),
        "anysize": Net(
            found_by_light,
            name="anysize",
            decoder="ultralight",
            input={"fit": "pad", "multiple": 32},
            parameters={"score_threshold": 0.5, "nms_iou": 0.3, "max_side": 256},
        ),
        "point": Net(lambda crops: [centroids(crops)], name="point", decoder="regression68", input=square),
        "tall": Net(
            lambda crops: [centroids(crops)],
            name="tall",
            decoder="regression68",
            input={"width": 48, "height": 64, "fit": "crop"},
        ),
    }


def pipeline(*rules: RegionRule, find: str | None = "finder", model: str = "point", **changed: Any) -> Pipeline:
    steps = [
        {"name": f"s{i}", "model": model, "region": rule, "of": f"s{i - 1}" if i else None}
        for i, rule in enumerate(rules)
    ]
    return Pipeline.model_validate(
        {"name": "test", "title": "test", "landmark_set": None, "points": len(rules), "find": find, "steps": steps}
        | changed
    )


RULES = [
    RegionRule(scale=2.5),
    RegionRule(scale=2.5, mirror=True),
    RegionRule(side="mean", scale=3.0, shift=(0.1, -0.2)),
    RegionRule(side="fit"),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("model", ["point", "tall"])
@pytest.mark.parametrize(("width", "height"), [(200, 120), (90, 140), (641, 480)])
def test_points_come_back_to_their_sub_pixel_place(
    nets: dict[str, Net], rule: RegionRule, model: str, width: int, height: int
) -> None:
    place = (0.4 * width + 0.3, 0.55 * height - 0.2)
    boxes = [np.array([[place[0] - 14, place[1] - 11, place[0] + 13, place[1] + 12]])]
    (got,) = run_pipeline(
        pipeline(rule, model=model), [picture(width, height, place)], sessions=nets.__getitem__, boxes=boxes
    )
    np.testing.assert_allclose(got.keypoints[0, 0, :2], place, atol=0.06)


@pytest.mark.parametrize("turn", [0.3, -2.0])
def test_turned_regions_come_back_too(nets: dict[str, Net], turn: float) -> None:
    place = np.array([101.3, 60.8])
    along = 20 * np.array([np.cos(turn), np.sin(turn)])
    rule = RegionRule(axis=((0,), (1,)), scale=2.0)
    found = regions(
        rule, np.array([[80.0, 40, 120, 80]]), np.array([[place, place + along]]), np.array([[200, 120]]), 1.0
    )
    np.testing.assert_allclose(found.angles, [turn])
    from landmark_ops.detectors.regions import affines

    (to_crop,) = affines(found, (64, 64), True)
    before, after = to_crop.apply(np.array([place, place + along]))
    assert after[1] == pytest.approx(before[1])  # the axis lies flat,
    assert after[0] < before[0]  # and to the left, for the crop is mirrored
    np.testing.assert_allclose(to_crop.inverse().apply(before), place)


def test_find_crop_point_and_back(nets: dict[str, Net]) -> None:
    places = [(61.2, 40.7), (150.4, 200.9), (30.0, 31.0)]
    images = [picture(200, 120, places[0]), picture(300, 400, places[1]), picture(64, 64, places[2]), picture(50, 50)]
    for find in ("finder", "anysize"):
        got = run_pipeline(pipeline(RegionRule(scale=2.5), find=find), images, sessions=nets.__getitem__)
        assert [len(each.boxes) for each in got] == [1, 1, 1, 0]
        for each, place in zip(got, places, strict=False):
            np.testing.assert_allclose(each.keypoints[0, 0, :2], place, atol=0.1)
            np.testing.assert_allclose((each.boxes[0, :2] + each.boxes[0, 2:]) / 2, place, atol=1.3)
        assert got[3].keypoints.shape == (0, 1, 3)
        assert got[0].model == (find, "point")


def test_batches_span_images_and_change_nothing(
    nets: dict[str, Net], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crops, "CPU_PIXELS", 2**20)
    images = [
        picture(*size, tuple(rng.uniform(20, 40, 2)))
        for size in [(120, 90), (80, 80), (120, 90), (300, 301), (64, 99)] * 3
    ]
    chosen = pipeline(RegionRule(scale=2.5), find="anysize")
    one = run_pipeline(chosen, images, sessions=nets.__getitem__, batch=1)
    nets["point"].batches.clear()
    nets["anysize"].batches.clear()
    eight = run_pipeline(chosen, images, sessions=nets.__getitem__, batch=8)
    assert nets["point"].batches == [8, 7]  # crops of many images at once
    assert sorted(nets["anysize"].batches) == [3, 3, 3, 6]  # images that pad to one size share a batch
    order = rng.permutation(len(images))
    shuffled = run_pipeline(chosen, [images[i] for i in order], sessions=nets.__getitem__, batch=4)
    for i, (a, b) in enumerate(zip(one, eight, strict=True)):
        same(a, b)
        same(a, shuffled[int(np.flatnonzero(order == i)[0])])


def same(a: Instances, b: Instances) -> None:
    assert a.model == b.model
    assert a.extra.keys() == b.extra.keys()
    for x, y in zip([*a[:5], *a.extra.values()], [*b[:5], *b.extra.values()], strict=True):
        assert x.shape == y.shape
        np.testing.assert_allclose(x, y, atol=1e-4, rtol=0)


def test_own_boxes_are_answered_each_in_order(nets: dict[str, Net]) -> None:
    image = picture(200, 120, (50.2, 60.1), (150.4, 30.3))
    boxes = [np.array([[140.0, 20, 160, 40], [40, 50, 60, 70], [500, 500, 520, 520]]), None, np.empty((0, 4))]
    got = run_pipeline(pipeline(RegionRule(scale=1.2)), [image, image, image], sessions=nets.__getitem__, boxes=boxes)
    assert [len(each.boxes) for each in got] == [3, 0, 0]
    np.testing.assert_allclose(got[0].keypoints[:2, 0, :2], [(150.4, 30.3), (50.2, 60.1)], atol=0.1)
    assert np.isnan(got[0].keypoints[2]).all()  # that box shows nothing of the picture
    np.testing.assert_array_equal(got[0].boxes, boxes[0])
    assert not nets["finder"].batches
    assert got[0].model == ("point",)


def test_black_bars_hide_what_lies_beside_the_box(nets: dict[str, Net]) -> None:
    image = picture(200, 120, (50.2, 60.1), (85.0, 60.0))
    box = [np.array([[40.0, 20, 62, 100]])]  # tall: the square around it would hold the second blob
    got = run_pipeline(pipeline(RegionRule(side="fit")), [image], sessions=nets.__getitem__, boxes=box)
    np.testing.assert_allclose(got[0].keypoints[0, 0, :2], (50.2, 60.1), atol=0.1)


def test_a_second_finder_adds_only_what_the_first_missed(nets: dict[str, Net]) -> None:
    first = pipeline(find="finder", points=0, also="anysize")
    images = [picture(200, 120, (50.2, 60.1))]
    got = run_pipeline(first, images, sessions=nets.__getitem__)
    assert len(got[0].boxes) == 1
    blind = Net(
        lambda x: [np.zeros((len(x), 1, 2)), np.zeros((len(x), 1, 4))],
        **nets["finder"].spec.model_dump(exclude={"folder"}),
    )
    got = run_pipeline(first, images, sessions=(nets | {"finder": blind}).__getitem__)
    assert len(got[0].boxes) == 1


def test_scaled_decoding_is_undone_exactly() -> None:
    got = Instances(
        np.array([[-0.5, -0.5, 99.5, 49.5]]),
        np.ones(1),
        np.array([[[0.0, 0, 2]]]),
        np.ones((1, 1)),
        np.ones((1, 1)),
        {},
        (),
    ).scaled(0.25)
    np.testing.assert_allclose(got.boxes, [[-0.5, -0.5, 399.5, 199.5]])
    np.testing.assert_allclose(got.keypoints, [[[1.5, 1.5, 8]]])


def test_input_sizes_depend_on_the_image_alone() -> None:
    spec = get_spec("yunet-n")
    for size, expected in [
        ((640, 425), (640, 448)),
        ((1280, 720), (640, 384)),
        ((4000, 3000), (640, 480)),
        ((1, 1), (32, 32)),
    ]:
        affine, target = fit(spec.input, *size, spec.parameters)
        assert target == expected
        corner = affine.apply([size[0] - 0.5, size[1] - 0.5])
        assert (corner <= np.array(target) - 0.5 + 1e-9).all()
        np.testing.assert_allclose(affine.apply([-0.5, -0.5]), -0.5)
    assert same_size([(1, 1), (2, 2), (1, 1), (1, 1)], 2) == [[0, 2], [3], [1]]


def test_large_inputs_go_by_fewer_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LANDMARKS_PROVIDERS", raising=False)
    assert [per_run((side, side), 16) for side in (64, 112, 192, 512, 4000)] == [16, 10, 3, 1, 1]
    monkeypatch.setattr(crops, "chosen_providers", lambda: ("CUDAExecutionProvider",))
    assert per_run((4000, 4000), 16) == 16


def test_shipped_pipelines_name_known_models_and_sizes() -> None:
    names = [chosen.name for chosen in list_pipelines()]
    assert names == [
        *(
            "face-5",
            "face-5-retinaface",
            "face-5-mtcnn",
            "face-6-blazeface",
            "face-6-blazeface-full",
            "faces-ultralight",
        ),
        *(
            "face-68",
            "face-68-3ddfa",
            "face-mesh-468",
            "face-mesh-468-yunet",
            "face-mesh-478",
            "hand-21",
            "pose-33",
            "coco-17",
            "holistic-543",
        ),
    ]
    for chosen in list_pipelines():
        for model in chosen.models:
            get_spec(model)
        told = sum(
            {"right_iris": 5, "left_iris": 5}.get(s.name, get_spec(s.model).parameters.get("points", 0))
            for s in chosen.steps
        )
        assert not chosen.steps or told == chosen.points, chosen.name


def test_mistakes_are_told(nets: dict[str, Net], tmp_path: Path) -> None:
    run = run_pipeline
    images = [picture(64, 64, (30, 30))]
    with pytest.raises(
        InputError, match=r"pipeline 'face68' is unknown: did you mean face-68\? There are face-5, .*holistic-543"
    ):
        get_pipeline("face68")
    with pytest.raises(InputError, match="threshold 'scores' is unknown: valid: score, nms_iou, max_side"):
        run(pipeline(RULES[0]), images, sessions=nets.__getitem__, thresholds={"scores": 0.5})
    with pytest.raises(InputError, match=r"threshold score=5: give a number from 0 to 1"):
        run(pipeline(RULES[0]), images, sessions=nets.__getitem__, thresholds={"score": 5})
    with pytest.raises(InputError, match="threshold presence changes nothing in pipeline test: leave it out"):
        run(pipeline(RULES[0]), images, sessions=nets.__getitem__, thresholds={"presence": 0.5})
    for batch in (0, 1.5, True):
        with pytest.raises(InputError, match=f"batch={batch}: give a whole number from 1"):
            run(pipeline(RULES[0]), images, sessions=nets.__getitem__, batch=batch)
    with pytest.raises(InputError, match="image 0 has masked pixels"):
        run(pipeline(RULES[0]), [np.ma.masked_equal(images[0], images[0][0, 0, 0])], sessions=nets.__getitem__)
    with pytest.raises(InputError, match=r"image 0 has shape \(4, 4\) and type float64: give \(H, W, 3\) RGB uint8"):
        run(pipeline(RULES[0]), [np.zeros((4, 4))], sessions=nets.__getitem__)  # type: ignore[list-item]
    with pytest.raises(InputError, match=r"boxes for 2 images, got 1 images"):
        run(pipeline(RULES[0]), images, sessions=nets.__getitem__, boxes=[None, None])
    with pytest.raises(InputError, match=r"box 0 of image 0 is \[10.0, 10.0, 5.0, 20.0\]: needs finite x0 < x1"):
        run(pipeline(RULES[0]), images, sessions=nets.__getitem__, boxes=[np.array([[10.0, 10, 5, 20]])])
    with pytest.raises(InputError, match=r"boxes of image 0 have shape \(1, 5\): give \(n, 4\)"):
        run(pipeline(RULES[0]), images, sessions=nets.__getitem__, boxes=[np.zeros((1, 5))])
    with pytest.raises(InputError, match="pipeline face-5 only finds boxes"):
        run("face-5", images, sessions=nets.__getitem__, boxes=[None])
    with pytest.raises(InputError, match="its nets give 1 points, points says 7"):
        run(pipeline(RULES[0], points=7), images, sessions=nets.__getitem__)
    with pytest.raises(InputError, match=r"picture 0: not_an_image: .*: leave it out, or repair the file"):
        detect(b"<html>no picture</html>" * 10, "face-5")
    broken = tmp_path / "own.yaml"
    head = "title: t\nlandmark_set: x\npoints: 1\n"
    broken.write_text(f"{head}find: yunet-n\nsteps:\n  - {{name: a, model: iris, of: b}}\n")
    with pytest.raises(InputError, match=r"own\.yaml: step a follows from 'b', which is no earlier step"):
        get_pipeline(broken)
    broken.write_text(f"{head}finder: yunet-n\n")
    with pytest.raises(InputError, match=r"own\.yaml: finder is no known key"):
        get_pipeline(broken)
    with pytest.raises(InputError, match=r"absent\.yaml: cannot be read: No such file"):
        get_pipeline(tmp_path / "absent.yaml")


def test_own_pipelines_run_from_a_file(nets: dict[str, Net], tmp_path: Path) -> None:
    path = tmp_path / "blobs.yaml"
    steps = "steps:\n  - {name: a, model: point, region: {scale: 2}}\n"
    path.write_text(f"title: t\nlandmark_set: null\npoints: 1\nfind: finder\n{steps}")
    (got,) = run_pipeline(get_pipeline(path), [picture(99, 88, (40, 41))], sessions=nets.__getitem__)
    np.testing.assert_allclose(got.keypoints[0, 0, :2], (40, 41), atol=0.1)


def test_no_images_no_instances() -> None:
    assert detect([], "coco-17") == []
    assert Step(name="a", model="b").region == RegionRule()


@given(st.tuples(*[st.floats(-2000, 2000)] * 4), st.integers(1, 1000), st.integers(1, 1000))
def test_a_box_meets_the_picture_or_lies_outside(four: tuple[float, ...], width: int, height: int) -> None:
    (x0, x1), (y0, y1) = sorted(four[:2]), sorted(four[2:])
    meets = x0 < width and y0 < height and x1 + 1 > 0 and y1 + 1 > 0
    assert outside(np.array([[x0, y0, x1 + 1, y1 + 1]]), width, height).tolist() == [not meets]
