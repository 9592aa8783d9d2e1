"""What one call of a network may be trusted with: fixed batches are filled up, and no answer is read as another's."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from landmark_ops.detectors.crops import per_run
from landmark_ops.detectors.session import load_session
from landmark_ops.errors import InputError, RunError
from tests.detectors.tiny_onnx import onnx_bytes

MEAN = [
    helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
    helper.make_node("Flatten", ["pooled"], ["means"]),
]


@pytest.fixture
def loaded(make_spec, tmp_path, nothing_loaded):
    """Loads a tiny model made of nodes, keywords changing its spec."""

    def load(*nodes, dims=("N", 3, 8, 8), told=("N", 3), element=TensorProto.FLOAT, held=(), **spec):
        data = onnx_bytes(*nodes, dims=dims, told=told, element=element, initializer=list(held))
        (tmp_path / "tiny").mkdir(exist_ok=True)
        (tmp_path / "tiny/tiny.onnx").write_bytes(data)
        return load_session(make_spec(data, folder=str(tmp_path), **spec))

    return load


def pictures(n, rng):
    return rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("fixed", [1, 3, 4])
def test_the_last_batch_of_a_fixed_size_is_filled_up(loaded, rng, n, fixed):
    session = loaded(dims=(fixed, 3, 8, 8), told=(fixed, 3), input={"width": 8, "height": 8, "max_batch": fixed})
    images = pictures(n, rng)
    (means,) = session.run(session.prepare(images))
    assert means.shape == (n, 3)
    np.testing.assert_allclose(means, images.mean(axis=(1, 2)), rtol=1e-5)


def test_max_batch_limits_a_file_that_takes_any(loaded, rng):
    session = loaded(input={"width": 8, "height": 8, "max_batch": 4})
    images = pictures(6, rng)
    np.testing.assert_allclose(session.run(session.prepare(images))[0], images.mean(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    ("dims", "spec", "message"),
    [
        ((4, 3, 8, 8), {}, r"axis 0 of the file's input is 4, the spec says any .*correct input.layout.*max_batch"),
        ((4, 3, 8, 8), {"max_batch": 2}, "axis 0 of the file's input is 4, the spec says 2"),
        ((1, 8, 8, 3), {"max_batch": 1}, "axis 1 of the file's input is 8, the spec says 3"),
        (("N", 1, 8, 8), {}, "axis 1 of the file's input is 1, the spec says 3"),
        (("N", 3, 8, 9), {}, "axis 3 of the file's input is 9, the spec says 8"),
        (("N", 3, 64), {}, "it has to have four"),
    ],
)
def test_axes_that_do_not_fit_are_refused_when_loaded(loaded, dims, spec, message):
    with pytest.raises(InputError, match=message):
        loaded(*MEAN, dims=dims, input={"width": 8, "height": 8} | spec)


def test_an_output_without_the_batch_is_refused(loaded):
    """As of nets that end in suppression: (boxes found, 6), whose first boxes would be taken for the first images."""
    with pytest.raises(InputError, match=r"output mean has dims \[4, 3\], the input \[1, 3, 8, 8\]: the first axis"):
        loaded(dims=(1, 3, 8, 8), told=(4, 3), input={"width": 8, "height": 8, "max_batch": 1})
    shape = numpy_helper.from_array(np.array([1, -1], np.int64), "shape")
    session = loaded(*MEAN, helper.make_node("Reshape", ["means", "shape"], ["mean"]), told=("A", "B"), held=[shape])
    with pytest.raises(RunError, match=r"output mean has shape \(1, 6\) for a batch of 2: its first axis has to be"):
        session.run(np.zeros((2, 3, 8, 8), np.float32))


def test_nan_is_no_answer(loaded):
    session = loaded(*MEAN, helper.make_node("Log", ["means"], ["mean"]))
    assert np.isneginf(session.run(np.zeros((1, 3, 8, 8), np.float32))[0]).all()  # a logit may be
    with pytest.raises(RunError, match="output mean holds NaN: the net overflows on this picture"):
        session.run(np.full((1, 3, 8, 8), -1, np.float32))


@pytest.mark.parametrize("element", [TensorProto.INT64, TensorProto.UINT8])
def test_whole_numbers_are_no_values(loaded, element):
    with pytest.raises(InputError, match=f"output mean has ONNX element type {element}: decoders read real numbers"):
        loaded(*MEAN, helper.make_node("Cast", ["means"], ["mean"], to=element), element=element)


@pytest.mark.parametrize("element", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_real_numbers_are_read(loaded, element, rng):
    session = loaded(*MEAN, helper.make_node("Cast", ["means"], ["mean"], to=element), element=element)
    images = pictures(2, rng)
    np.testing.assert_allclose(session.run(session.prepare(images))[0], images.mean(axis=(1, 2)), rtol=1e-3)


def test_a_fixed_batch_is_not_run_for_one_image_of_it(monkeypatch):
    monkeypatch.delenv("LANDMARKS_PROVIDERS", raising=False)
    assert per_run((640, 640), 16) == 1
    assert per_run((640, 640), 16, least=4) == 4
    assert per_run((112, 112), 16, least=4) == 12
