from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest

from landmark_ops.detectors import session as session_module
from landmark_ops.detectors.models import get_spec, list_specs
from landmark_ops.detectors.session import load_session
from landmark_ops.errors import InputError, RunError
from tests.detectors.tiny_onnx import onnx_bytes

FIXED_BATCH = {"movenet-lightning", "ultralight-rfb320"}


@pytest.fixture
def tiny(make_spec, tmp_path, nothing_loaded):
    """The spec of a model that averages each channel, its file beside it."""
    data = onnx_bytes()
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/tiny.onnx").write_bytes(data)
    return make_spec(data, folder=str(tmp_path))


def images_for(spec, n, rng):
    width, height = spec.input.width or 160, spec.input.height or 96
    return rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def sketch_input(name, images):
    """What the reference decoders feed, from BGR as they read it, written as they write it."""
    rgb = images.astype(np.float32)
    bgr = rgb[..., ::-1]
    x = {
        "yunet": lambda: bgr,
        "ultralight": lambda: (rgb - 127) / 128,
        "retinaface": lambda: (bgr - [104, 117, 123]).astype(np.float32),
        "mtcnn": lambda: ((rgb - 127.5) / 128).transpose(0, 2, 1, 3),
        "blazeface": lambda: rgb / 255 * 2 - 1,
        "pose-detection": lambda: rgb / 255 * 2 - 1,
        "face68": lambda: (rgb - [122.782, 117.001, 104.298]) / 255,
        "3ddfa": lambda: (bgr - 127.5) / 128,
        "movenet": lambda: images,
    }
    made = next((make for prefix, make in x.items() if name.startswith(prefix)), lambda: rgb / 255)()
    return made if name.startswith(("mtcnn", "movenet")) else made.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("name", [spec.name for spec in list_specs()])
def test_results_do_not_depend_on_the_batch(name, real_models, rng):
    spec = get_spec(name)
    session = load_session(spec)
    batch = session.prepare(images_for(spec, 5, rng))
    together = session.run(batch)
    singles = [np.concatenate(parts) for parts in zip(*(session.run(image[None]) for image in batch), strict=True)]
    assert len(together) == len(spec.outputs)
    for got, expected in zip(together, singles, strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert (spec.input.max_batch == 1) == (name in FIXED_BATCH)
    empty = session.run(batch[:0])
    assert [output.shape[0] for output in empty] == [0] * len(spec.outputs)
    assert [output.ndim for output in empty] == [output.ndim for output in together]


@pytest.mark.parametrize("name", [spec.name for spec in list_specs()])
def test_prepare_is_what_the_networks_were_trained_on(name, real_models, rng):
    spec = get_spec(name)
    images = images_for(spec, 2, rng)
    before = images.copy()
    batch = load_session(spec).prepare(images)
    expected = sketch_input(name, images)
    assert batch.dtype == spec.input.dtype
    assert batch.shape == expected.shape
    assert batch.flags.c_contiguous
    np.testing.assert_allclose(batch, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(images, before)


def test_a_session_averages_as_told(tiny, rng):
    images = images_for(tiny, 3, rng)
    session = load_session(tiny)
    (means,) = session.run(session.prepare(images))
    np.testing.assert_allclose(means, images.mean(axis=(1, 2)), rtol=1e-5)


def test_options_keep_a_worker_to_itself(tiny, monkeypatch):
    seen = []
    made = onnxruntime.InferenceSession

    def watch(data, options, providers):
        seen.append((type(data), options, providers))
        return made(data, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watch)
    load_session(tiny)
    ((kind, options, providers),) = seen
    assert kind is bytes  # never a path
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert options.enable_cpu_mem_arena is False
    assert providers == ["CPUExecutionProvider"]


def test_networks_are_kept_by_hash_and_file_is_read_once(tiny, tmp_path):
    first = load_session(tiny)
    (tmp_path / "tiny/tiny.onnx").unlink()
    other = load_session(tiny.model_copy(update={"name": "stricter", "parameters": {"score_threshold": 0.9}}))
    assert other._network is first._network
    assert other.spec.parameters["score_threshold"] == 0.9
    with pytest.raises(InputError, match="neither beside its spec nor on a mirror"):
        load_session(tiny.model_copy(update={"sha256": "0" * 64}))
    assert load_session(tiny)._network is first._network


def test_the_least_used_network_goes_first(make_spec, tmp_path, nothing_loaded, monkeypatch):
    monkeypatch.setattr(session_module, "MAX_LOADED", 2)
    specs = []
    for name in ("first", "second", "third"):
        data = onnx_bytes(doc_string=name)
        (tmp_path / f"{name}.onnx").write_bytes(data)
        specs.append(make_spec(data, name=name, file=f"{name}.onnx", folder=str(tmp_path)))
    one, two = load_session(specs[0]), load_session(specs[1])
    load_session(specs[0])
    load_session(specs[2])
    assert load_session(specs[0])._network is one._network
    assert load_session(specs[1])._network is not two._network


def test_threads_load_one_network(tiny):
    with ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(load_session, [tiny] * 8))
    assert len({id(session._network) for session in sessions}) == 1


def test_a_changed_file_is_not_loaded(tiny, tmp_path, monkeypatch):
    (tmp_path / "tiny/tiny.onnx").write_bytes(onnx_bytes(dims=("N", 3, 8, 9)))
    monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    with pytest.raises(InputError, match=r"model tiny: .* has sha256 \w{64}, expected \w{64}: it is not loaded"):
        load_session(tiny)


def test_sessions_are_not_pickled(tiny):
    with pytest.raises(TypeError, match="Session of tiny cannot be pickled: send its spec"):
        pickle.dumps(load_session(tiny))


def test_unknown_providers_are_named(tiny, monkeypatch):
    monkeypatch.setenv("LANDMARKS_PROVIDERS", "CPUExecutionProvider, WarpExecutionProvider")
    with pytest.raises(InputError, match=r"'WarpExecutionProvider' is not in this onnxruntime: available here: "):
        load_session(tiny)
    monkeypatch.setenv("LANDMARKS_PROVIDERS", " CPUExecutionProvider ")
    assert load_session(tiny).spec == tiny


def test_a_provider_that_does_not_start_is_told(tiny, monkeypatch):
    """onnxruntime silently falls back to the CPU, and the run would take ten times as long for no visible reason."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setenv("LANDMARKS_PROVIDERS", "CUDAExecutionProvider")
    made = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda data, options, providers: made(data, options, providers=None)
    )
    with pytest.raises(RunError, match="CUDAExecutionProvider could not be started on this machine: check its driver"):
        load_session(tiny)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((1, 8, 8, 3), np.float32, r"images of shape \(1, 8, 8, 3\) and type float32: give \(n, h, w, 3\) RGB uint8"),
        ((8, 8, 3), np.uint8, r"images of shape \(8, 8, 3\)"),
        ((1, 8, 8, 4), np.uint8, r"images of shape \(1, 8, 8, 4\)"),
        ((1, 8, 9, 3), np.uint8, "images of 9 x 8 px: the network takes 8 x 8"),
    ],
)
def test_other_images_are_refused(tiny, shape, dtype, message):
    with pytest.raises(InputError, match=message):
        load_session(tiny).prepare(np.zeros(shape, dtype))


def test_sides_have_to_be_multiples(real_models):
    session = load_session(get_spec("yunet-n"))
    with pytest.raises(InputError, match="images of 64 x 50 px: sides must be multiples of 32"):
        session.prepare(np.zeros((1, 50, 64, 3), np.uint8))
    with pytest.raises(InputError, match="images of 0 x 32 px"):
        session.prepare(np.zeros((1, 32, 0, 3), np.uint8))


def test_a_failing_run_is_a_run_error(tiny):
    session = load_session(tiny)
    with pytest.raises(RunError, match=r"model tiny: onnxruntime failed on a batch of shape \(1, 3, 9, 9\)"):
        session.run(np.zeros((1, 3, 9, 9), np.float32))
