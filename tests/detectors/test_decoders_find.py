"""Decoders of whole images, on heads built so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from landmark_ops.detectors.cascade import pyramid, square
from landmark_ops.detectors.decoder import DECODERS, finder, locator, refiner
from landmark_ops.detectors.decoders.blaze_ssd import anchors, decode_blaze_ssd
from landmark_ops.detectors.decoders.mtcnn_onet import decode_onet
from landmark_ops.detectors.decoders.mtcnn_pnet import decode_pnet
from landmark_ops.detectors.decoders.mtcnn_rnet import decode_rnet
from landmark_ops.detectors.decoders.retinaface import decode_retinaface, prior_boxes
from landmark_ops.detectors.decoders.ultralight import decode_ultralight
from landmark_ops.detectors.decoders.yunet import decode_yunet
from landmark_ops.detectors.instances import Found
from landmark_ops.detectors.models import get_spec, list_specs
from landmark_ops.detectors.nms import blend, iou, keep, suppress
from landmark_ops.errors import InputError

SIZE = (96, 64)  # width and height differ, so that exchanged axes show


def yunet_heads(n: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    cells = [(size[0] // s) * (size[1] // s) for s in (8, 16, 32)]
    return [np.zeros((n, count, width), np.float32) for width in (1, 1, 4, 10) for count in cells]


def test_yunet_puts_a_cells_offsets_where_they_belong() -> None:
    heads = yunet_heads(2)
    cell = 1 * (SIZE[0] // 16) + 3  # row 1, column 3 at stride 16
    heads[1][1, cell], heads[4][1, cell] = 0.81, 1.0
    heads[7][1, cell] = [0.25, -0.5, np.log(2), np.log(1.5)]
    heads[10][1, cell] = np.arange(10) / 10
    none, some = decode_yunet(heads, SIZE, get_spec("yunet-n").parameters)
    assert none.boxes.shape == (0, 4)
    assert none.keypoints.shape == (0, 5, 2)
    centre = np.array([3 * 16 + 0.25 * 16, 1 * 16 - 0.5 * 16]) - 0.5
    np.testing.assert_allclose(some.scores, [0.9], atol=1e-6)
    np.testing.assert_allclose(some.boxes[0], [*np.subtract(centre, (16, 12)), *np.add(centre, (16, 12))], atol=1e-5)
    np.testing.assert_allclose(some.keypoints[0, 2], [48 + 0.4 * 16 - 0.5, 16 + 0.5 * 16 - 0.5], atol=1e-5)


def test_yunet_keeps_one_of_two_overlapping_faces_and_both_apart() -> None:
    heads = yunet_heads(1)
    for cell, score in ((0, 0.9), (1, 0.8), (10, 0.7)):
        heads[0][0, cell], heads[3][0, cell] = score, score
        heads[6][0, cell] = [0, 0, np.log(4), np.log(4)]
    (found,) = decode_yunet(heads, SIZE, get_spec("yunet-n").parameters)
    np.testing.assert_allclose(found.scores, [0.9, 0.7], atol=1e-6)


def test_retinaface_inverts_the_coding_of_a_box_against_its_prior() -> None:
    parameters = get_spec("retinaface-mnet025").parameters
    priors = prior_boxes(SIZE, [8, 16, 32], np.array([[10, 20], [32, 64], [128, 256]]))
    assert len(priors) == 2 * (12 * 8 + 6 * 4 + 3 * 2)
    np.testing.assert_allclose(priors[:2], [[4, 4, 10, 10], [4, 4, 20, 20]])
    which, box = 2 * (12 * 8) + 5, np.array([30.0, 10.0, 62.0, 50.0])  # edge-based pixels
    prior = priors[which]
    loc, conf, landms = (np.zeros((1, len(priors), width), np.float32) for width in (4, 2, 10))
    middle, side = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    loc[0, which] = [*((middle - prior[:2]) / prior[2:] / 0.1), *(np.log(side / prior[2:]) / 0.2)]
    landms[0, which] = ((np.array([[40.0, 20.0]] * 5) - prior[:2]) / prior[2:] / 0.1).ravel()
    conf[0, which, 1] = 0.75
    (found,) = decode_retinaface([loc, conf, landms], SIZE, parameters)
    np.testing.assert_allclose(found.boxes, [box - 0.5], atol=1e-4)
    np.testing.assert_allclose(found.keypoints[0], [[39.5, 19.5]] * 5, atol=1e-4)


def test_ultralight_scales_shares_to_pixels() -> None:
    scores, boxes = np.zeros((2, 3, 2), np.float32), np.zeros((2, 3, 4), np.float32)
    scores[0, 1, 1], boxes[0, 1] = 0.9, [0.25, 0.25, 0.75, 0.5]
    found = decode_ultralight([scores, boxes], SIZE, get_spec("ultralight-rfb320").parameters)
    np.testing.assert_allclose(found[0].boxes, [[23.5, 15.5, 71.5, 31.5]])
    assert found[0].keypoints.shape == (1, 0, 2)
    assert len(found[1].boxes) == 0


@pytest.mark.parametrize(
    ("model", "count"),
    [("blazeface-short", 896), ("blazeface-full", 2304), ("palm-full", 2016), ("pose-detection", 2254)],
)
def test_blaze_anchors_count_and_lie_as_published(model: str, count: int) -> None:
    spec = get_spec(model)
    side = spec.input.width or 0
    cells = anchors((side, side), tuple(spec.parameters["strides"]), tuple(spec.parameters["anchors_per_cell"]))
    assert cells.shape == (count, 2)
    stride = spec.parameters["strides"][0]
    np.testing.assert_allclose(cells[0], [stride / 2, stride / 2])
    np.testing.assert_allclose(cells.mean(axis=0), [side / 2, side / 2])


def test_blaze_blends_overlapping_boxes_by_their_scores() -> None:
    parameters = {"strides": [32], "anchors_per_cell": [2], "keypoints": 1, "score_threshold": 0.5, "nms_iou": 0.3}
    regressors, logits = np.zeros((1, 8, 6), np.float32), np.full((1, 8, 1), -200.0, np.float32)
    logits[0, 0], logits[0, 1] = np.log(4), np.log(1.5)  # sigmoid 0.8 and 0.6, both at anchor (16, 16)
    regressors[0, 0] = [0, 0, 20, 20, 1, 2]
    regressors[0, 1] = [7, 0, 20, 20, 8, 2]
    (found,) = decode_blaze_ssd([regressors, logits], (64, 64), parameters)
    np.testing.assert_allclose(found.scores, [0.8], atol=1e-6)
    np.testing.assert_allclose(found.boxes, [[6 + 3 - 0.5, 5.5, 26 + 3 - 0.5, 25.5]], atol=1e-5)
    np.testing.assert_allclose(found.keypoints, [[[16 + 1 + 3 - 0.5, 17.5]]], atol=1e-5)


def test_blaze_refuses_a_net_of_other_anchors() -> None:
    parameters = get_spec("blazeface-short").parameters
    with pytest.raises(InputError, match="gives 10 anchors of 16 values, its spec makes 896 of 16"):
        decode_blaze_ssd([np.zeros((1, 10, 16)), np.zeros((1, 10, 1))], (128, 128), parameters)


def test_mtcnn_windows_offsets_and_points() -> None:
    regression, probability = np.zeros((1, 9, 5, 4), np.float32), np.zeros((1, 9, 5, 2), np.float32)
    probability[0, 7, 2, 1], regression[0, 7, 2] = 0.9, [0.5, 0, 0, -0.25]  # column 7, row 2: x comes first
    (found,) = decode_pnet([regression, probability], (28, 20), get_spec("mtcnn-p").parameters)
    np.testing.assert_allclose(found.boxes, [[13.5 + 6, 3.5, 25.5, 15.5 - 3]])
    refined = decode_rnet([np.array([[0.0, 0.5, 0, 0]]), np.array([[0.2, 0.8]])], (24, 24), {})
    np.testing.assert_allclose(refined.boxes, [[0, 12, 24, 24]])
    points = np.array([[0.0, 0.25, 0.5, 0.75, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5]])
    last = decode_onet([np.zeros((1, 4)), points, np.array([[0.2, 0.8]])], (48, 48), {})
    np.testing.assert_allclose(last.keypoints[0, :, 0], [-0.5, 11.5, 23.5, 35.5, 47.5])
    np.testing.assert_allclose(last.keypoints[0, :, 1], 23.5)
    np.testing.assert_allclose(square(np.array([[0.0, 0, 10, 4]])), [[0, -3, 10, 7]])
    scales = pyramid(100, 50, {"min_face_px": 40, "scale_factor": 0.5})
    np.testing.assert_allclose(scales, [0.3])


def test_suppression_keeps_the_best_and_ties_in_order(rng: np.random.Generator) -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [40, 40, 50, 50], [0, 0, 0, 0]], float)
    assert suppress(boxes, np.array([0.5, 0.5, 0.9, 0.1]), 0.3).tolist() == [2, 0, 3]
    np.testing.assert_allclose(iou(boxes[0], boxes), [1, 9 / 11, 0, 0])
    many = Found(rng.uniform(0, 50, (200, 4)), rng.uniform(size=200), np.empty((200, 0, 2)))
    many = many._replace(boxes=np.add(np.sort(many.boxes.reshape(200, 2, 2), axis=1).reshape(200, 4), (0, 0, 12, 12)))
    kept = keep(many, 0.4)
    overlaps = np.array([iou(box, kept.boxes) for box in kept.boxes]) - np.eye(len(kept.boxes))
    assert overlaps.max() <= 0.4
    assert (np.diff(kept.scores) <= 0).all()


def test_blending_changes_nothing_that_stands_alone_and_ends_with_flat_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [5, 5, 5, 5]], float)
    blended = blend(Found(boxes, np.array([0.7, 0.8, 0.6]), boxes.reshape(3, 2, 2)), 0.3)
    np.testing.assert_allclose(blended.boxes, boxes[[1, 0, 2]])
    np.testing.assert_allclose(blended.keypoints, boxes[[1, 0, 2]].reshape(3, 2, 2))


def test_every_shipped_spec_names_a_decoder() -> None:
    for spec in list_specs():
        assert spec.decoder in DECODERS, spec.name


def test_unknown_decoders_are_told_with_the_valid_ones() -> None:
    with pytest.raises(InputError, match="model mine: decoder 'yolo' finds nothing in whole images; valid: blaze_ssd"):
        finder("yolo", "mine")
    with pytest.raises(InputError, match="model mine: decoder 'yunet' locates no points in crops; valid: blazepose"):
        locator("yunet", "mine")
    with pytest.raises(InputError, match="model mine: decoder 'hand' refines no boxes in crops; valid: mtcnn_onet"):
        refiner("hand", "mine")


@pytest.mark.parametrize("level", [0, 3])
def test_logits_are_no_probabilities(level: int) -> None:
    heads = yunet_heads(1)
    heads[level][0, 3] = -4.2
    with pytest.raises(
        InputError, match=r"the net's (cls|obj)_8 holds values from -4.2 to 0, its decoder needs probab"
    ):
        decode_yunet(heads, SIZE, get_spec("yunet-n").parameters)


def test_probabilities_are_no_logits() -> None:
    parameters = get_spec("blazeface-short").parameters
    outputs = [np.zeros((1, 896, 16)), np.full((1, 896, 1), 0.02)]
    with pytest.raises(
        InputError, match=r"the net's scores holds values from 0\.02 to 0\.02, its decoder needs logits"
    ):
        decode_blaze_ssd(outputs, (128, 128), parameters)


@pytest.mark.parametrize(
    ("exchanged", "message"),
    [
        ((0, 6), r"cls_8 has shape \(1, 96, 4\), its decoder needs \(n, 96, 1\)"),
        ((6, 9), r"bbox_8 has shape \(1, 96, 10\)"),
        ((0, 1), r"cls_8 has shape \(1, 24, 1\)"),
    ],
)
def test_heads_in_another_order_are_refused(exchanged: tuple[int, int], message: str) -> None:
    heads = yunet_heads(1)
    first, second = exchanged
    heads[first], heads[second] = heads[second], heads[first]
    with pytest.raises(InputError, match=message):
        decode_yunet(heads, SIZE, get_spec("yunet-n").parameters)
    with pytest.raises(InputError, match="model mine: the net's"):
        finder("yunet", "mine")(heads, SIZE, get_spec("yunet-n").parameters)


def test_missing_and_wrong_parameters_name_their_key() -> None:
    heads = yunet_heads(1)
    with pytest.raises(InputError, match=r"parameters\.score_threshold is missing: the decoder needs one number"):
        decode_yunet(heads, SIZE, {"strides": [8, 16, 32], "nms_iou": 0.4})
    with pytest.raises(InputError, match=r"parameters\.strides is 8: the decoder needs a list of numbers"):
        decode_yunet(heads, SIZE, {"strides": 8})
