"""Decoders of crops, on heads built so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from landmark_ops.detectors.decoders.blazepose import decode_blazepose, refine
from landmark_ops.detectors.decoders.face_mesh import decode_face_mesh
from landmark_ops.detectors.decoders.hand import decode_hand
from landmark_ops.detectors.decoders.heatmap import blur, decode_heatmap
from landmark_ops.detectors.decoders.iris import decode_iris
from landmark_ops.detectors.decoders.morphable62 import decode_morphable62, head_pose
from landmark_ops.detectors.decoders.movenet import decode_movenet
from landmark_ops.detectors.decoders.pipnet import decode_pipnet, reverse_index
from landmark_ops.detectors.decoders.regression68 import decode_regression68
from landmark_ops.detectors.decoders.simcc import decode_simcc
from landmark_ops.detectors.models import get_spec
from landmark_ops.errors import InputError


def gaussians(centres: np.ndarray, shape: tuple[int, int], sigma: float = 2.0) -> np.ndarray:
    """(n, K, rows, columns) maps whose maxima lie at sub-pixel centres (n, K, 2)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    away = (x - centres[..., 0, None, None]) ** 2 + (y - centres[..., 1, None, None]) ** 2
    return np.exp(-away / (2 * sigma**2))


def test_face_mesh_and_iris_take_edge_based_pixels_and_a_logit() -> None:
    landmarks = np.zeros((2, 1404), np.float32)
    landmarks[1, 3:6] = [10, 20, 30]
    points = decode_face_mesh([landmarks, np.array([[-np.log(3)], [0.0]])], (192, 192), {})
    np.testing.assert_allclose(points.keypoints[1, 1], [9.5, 19.5, 30])
    np.testing.assert_allclose(points.presence, [0.25, 0.5])
    assert np.isnan(points.scores).all()
    iris = decode_iris([np.zeros((1, 213)), np.full((1, 15), 32.0)], (64, 64), {})
    np.testing.assert_allclose(iris.keypoints[0, :, :2], 31.5)


def test_hand_flag_and_handedness_are_not_squashed_twice() -> None:
    landmarks = np.full((1, 63), 4.0)
    points = decode_hand([landmarks, np.array([[0.9]]), np.array([[0.2]])], (224, 224), {"normalize_z": 0.4})
    assert points.presence.tolist() == [0.9]
    assert points.extra["right_hand"].tolist() == [0.2]
    np.testing.assert_allclose(points.keypoints[0, 0], [3.5, 3.5, 10])


def test_blazepose_publishes_33_of_39_with_visibility_from_logits() -> None:
    values = np.zeros((1, 39, 5), np.float32)
    values[0, 32] = [100, 50, 7, np.log(3), -np.log(3)]
    points = decode_blazepose([values.reshape(1, 195), np.array([[0.7]])], (256, 256), {})
    assert points.keypoints.shape == (1, 33, 3)
    np.testing.assert_allclose(points.keypoints[0, 32], [99.5, 49.5, 7])
    np.testing.assert_allclose([points.visible[0, 32], points.scores[0, 32], points.presence[0]], [0.75, 0.25, 0.7])


def test_blazepose_moves_points_to_the_heatmap_where_it_is_sure() -> None:
    values, maps = np.zeros((1, 39, 5)), np.full((1, 39, 64, 64), -100.0)
    values[0, :2, :2] = [100, 100]  # cell (25, 25)
    maps[0, 0, 24, 27] = 5.0  # row 24, column 27, sure
    maps[0, 1, 24, 27] = -0.1  # not sure
    parameters = {"heatmap_refine": True, "heatmap_threshold": 0.5, "heatmap_kernel": 7}
    outputs = [values.reshape(1, 195), np.ones((1, 1)), maps]
    points = decode_blazepose(outputs, (256, 256), parameters)
    np.testing.assert_allclose(points.keypoints[0, 0, :2], [27 * 4 - 0.5, 24 * 4 - 0.5])
    np.testing.assert_allclose(points.keypoints[0, 1, :2], [99.5, 99.5])
    with pytest.raises(InputError, match="heatmap_refine needs the net's heatmap"):
        decode_blazepose(outputs[:2], (256, 256), parameters)


@pytest.mark.parametrize("reach", [0, 1, 3])
def test_refinement_is_the_windowed_mean_point_by_point(rng: np.random.Generator, reach: int) -> None:
    """Against the definition: a window of cells around a point's own, cut at the map's edges, weighted by sigmoids."""
    points = rng.uniform(-30, 290, (3, 33, 2))
    points[0, :4] = [[0, 0], [255.9, 255.9], [-3.9, 10], [256, 10]]  # corners; within the first cell's reach; outside
    maps = rng.normal(-2, 3, (3, 33, 64, 48))
    size, threshold = (256, 256), 0.9
    moved = refine(points, maps, size, threshold, reach)
    for i, k in np.ndindex(points.shape[:2]):
        column, row = int(points[i, k, 0] * 48 / 256), int(points[i, k, 1] * 64 / 256)
        expected = points[i, k]
        if 0 <= column < 48 and 0 <= row < 64:
            cells = [
                (x, y, 1 / (1 + np.exp(-maps[i, k, y, x])))
                for y in range(max(0, row - reach), min(64, row + reach + 1))
                for x in range(max(0, column - reach), min(48, column + reach + 1))
            ]
            total = sum(weight for *_, weight in cells)
            if max(weight for *_, weight in cells) >= threshold:
                expected = [
                    sum(x * weight for x, _, weight in cells) / total / 48 * 256,
                    sum(y * weight for _, y, weight in cells) / total / 64 * 256,
                ]
        np.testing.assert_allclose(moved[i, k], expected, atol=1e-9)
    assert (moved != points).any()
    assert (moved[0, 3] == points[0, 3]).all()


def test_movenet_gives_y_before_x() -> None:
    output = np.zeros((2, 1, 17, 3), np.float32)
    output[1, 0, 3] = [0.25, 0.5, 0.8]
    points = decode_movenet([output], (192, 192), {})
    np.testing.assert_allclose(points.keypoints[1, 3, :2], [95.5, 47.5])
    np.testing.assert_allclose(points.scores[1, 3], 0.8)
    np.testing.assert_allclose(points.presence, [0, 0.8 / 17], atol=1e-7)


def test_regression_pairs_and_its_offset() -> None:
    output = np.array([[0.5, 0.25, 1.0, 0.0]])
    np.testing.assert_allclose(decode_regression68([output], (112, 80), {}).keypoints[0, :, :2], [[56, 20], [112, 0]])
    shifted = decode_regression68([output], (112, 80), {"pixel_offset": -0.5})
    np.testing.assert_allclose(shifted.keypoints[0, 0, :2], [55.5, 19.5])
    with pytest.raises(InputError, match="gives 3 values per crop"):
        decode_regression68([output[:, :3]], (112, 80), {})


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (30, 0, 0), (0, -20, 0), (0, 0, 45), (25, -15, 10)])
def test_head_pose_gives_back_the_angles_of_a_rotation(yaw: float, pitch: float, roll: float) -> None:
    y, p, r = np.radians([yaw, pitch, roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    rotation = about_z @ about_y @ about_x
    affine = np.hstack([3e-4 * rotation, [[60], [70], [-60]]]).reshape(1, 12)
    np.testing.assert_allclose(head_pose(affine)[0], [yaw, pitch, roll], atol=1e-9)


def test_morphable_unwhitens_parameters_and_takes_68_x_before_68_y() -> None:
    parameters = get_spec("3ddfa-mb05").parameters
    whitened = (np.hstack([np.eye(3), np.zeros((3, 1))]).ravel() * 4e-4 - parameters["mean"][:12]) / parameters["std"][
        :12
    ]
    points = np.concatenate([np.zeros(68), np.full(68, 0.5)])[None]
    found = decode_morphable62([np.hstack([whitened, np.zeros(50)])[None], points], (120, 120), parameters)
    np.testing.assert_allclose(found.keypoints[0, :, :2], [[60, 90]] * 68)
    np.testing.assert_allclose([found.extra[key][0] for key in ("yaw", "pitch", "roll")], 0, atol=1e-6)


def test_heatmap_argmax_moves_a_quarter_towards_the_higher_neighbour() -> None:
    maps = gaussians(np.array([[[20.3, 9.6], [0.0, 0.0]]]), (32, 48))
    points = decode_heatmap([maps], (192, 128), {})
    np.testing.assert_allclose(points.keypoints[0, 0, :2], [20.25 * 4, 9.75 * 4])
    np.testing.assert_allclose(points.keypoints[0, 1, :2], [0, 0])  # at the border: no neighbour on one side


@pytest.mark.parametrize("method", ["dark", "udp"])
def test_newton_steps_find_a_gaussians_middle(method: str, rng: np.random.Generator) -> None:
    centres = rng.uniform(10, 22, (3, 5, 2))
    maps = gaussians(centres, (32, 48))
    points = decode_heatmap([maps], (192, 128), {"method": method, "blur": 11})
    spans = (47, 31) if method == "udp" else (48, 32)
    np.testing.assert_allclose(points.keypoints[..., :2], centres / spans * (192, 128), atol=0.02)
    np.testing.assert_allclose(points.scores, maps.max(axis=(2, 3)))


def test_soft_argmax_is_the_mean_under_the_softmax() -> None:
    centres = np.array([[[20.3, 9.6]]])
    logits = np.log(np.maximum(gaussians(centres, (32, 48)), 1e-30))
    points = decode_heatmap([logits - 1], (192, 128), {"method": "soft"})
    np.testing.assert_allclose(points.keypoints[0, 0, :2], centres[0, 0] * 4, atol=1e-4)


def test_an_empty_heatmap_is_no_point() -> None:
    points = decode_heatmap([np.zeros((1, 2, 8, 8))], (32, 32), {})
    assert np.isnan(points.keypoints).all()
    with pytest.raises(InputError, match="valid: argmax, dark, udp, soft"):
        decode_heatmap([np.zeros((1, 2, 8, 8))], (32, 32), {"method": "dsnt"})
    with pytest.raises(InputError, match="odd number of taps"):
        blur(np.zeros((1, 1, 8, 8)), 4)


def test_simcc_divides_by_the_ratio_and_scores_the_smaller_axis() -> None:
    across, down = np.zeros((1, 2, 384)), np.zeros((1, 2, 512))
    across[0, 0, 101], down[0, 0, 301] = 0.9, 0.6
    across[0, 1, 5] = 0.9  # no response in y
    points = decode_simcc([across, down], (192, 256), {"split_ratio": 2.0})
    np.testing.assert_allclose(points.keypoints[0, 0, :2], [50.5, 150.5])
    assert points.scores.tolist() == [[0.6, 0.0]]
    assert np.isnan(points.keypoints[0, 1]).all()


def test_pipnet_averages_own_and_neighbours_views() -> None:
    cls, x, y = np.zeros((1, 3, 8, 8)), np.zeros((1, 3, 8, 8)), np.zeros((1, 3, 8, 8))
    told_x, told_y = np.zeros((1, 6, 8, 8)), np.zeros((1, 6, 8, 8))
    neighbours = [[1, 2], [0, 2], [0, 1]]
    cells = [(2, 3), (5, 1), (6, 6)]  # column, row
    places = np.array([[2.25, 3.5], [5.75, 1.25], [6.5, 6.0]])
    for k, (column, row) in enumerate(cells):
        cls[0, k, row, column] = 0.9
        x[0, k, row, column], y[0, k, row, column] = places[k] - cells[k]
        for j, other in enumerate(neighbours[k]):
            told_x[0, 2 * k + j, row, column], told_y[0, 2 * k + j, row, column] = places[other] - cells[k]
    outputs = [cls, x, y, told_x, told_y]
    points = decode_pipnet(outputs, (256, 256), {"stride": 32, "neighbours": neighbours})
    np.testing.assert_allclose(points.keypoints[0, :, :2], places * 32)
    told_x[0, 2, 1, 5] += 3  # point 1 misjudges point 0, one of its three witnesses
    points = decode_pipnet(outputs, (256, 256), {"stride": 32, "neighbours": neighbours})
    np.testing.assert_allclose(points.keypoints[0, 0, :2], (places[0] + [1, 0]) * 32)


def test_pipnet_repeats_witnesses_to_equal_length() -> None:
    with pytest.raises(InputError, match="never names point 3"):
        reverse_index(np.array([[1, 2], [0, 2], [0, 1], [0, 1]]))
    assert reverse_index(np.array([[1, 2], [0, 2], [0, 1]])).tolist() == [[2, 4], [0, 5], [1, 3]]
    assert reverse_index(np.array([[1, 2, 0], [0, 2, 0], [0, 1, 1]])).tolist() == [
        [2, 3, 5, 6],
        [0, 7, 8, 0],
        [1, 4, 1, 4],
    ]
