from __future__ import annotations

import builtins
import hashlib
import sys

import numpy as np
import pytest

from landmark_ops.detectors.converter import CONVERTERS
from landmark_ops.detectors.model_file import resolve
from landmark_ops.detectors.models import get_spec, list_specs
from landmark_ops.detectors.session import load_session
from landmark_ops.errors import InputError

CONVERTED = [spec.name for spec in list_specs() if spec.conversion and spec.conversion.format == "tflite"]


@pytest.fixture
def litert():
    pytest.importorskip("tflite", reason="converting needs the extra [convert]")
    return pytest.importorskip("ai_edge_litert.interpreter", reason="converting needs the extra [convert]")


def original_of(shared, spec) -> bytes:
    name = spec.conversion.originals[0].url.rpartition("/")[2]
    return (shared / "models" / spec.file).parent.joinpath("orig", name).read_bytes()


@pytest.mark.parametrize("name", CONVERTED)
def test_conversion_repeats_byte_for_byte_and_agrees_with_litert(name, litert, shared, real_models, rng):
    spec = get_spec(name)
    original = original_of(shared, spec)
    data = CONVERTERS["tflite"].load()([original], spec.conversion)
    assert hashlib.sha256(data).hexdigest() == spec.sha256

    images = rng.random((3, spec.input.height, spec.input.width, 3), dtype=np.float32)
    ours = dict(zip(spec.outputs, load_session(spec).run(images.transpose(0, 3, 1, 2).copy()), strict=True))
    runtime = litert.Interpreter(model_content=original)
    runtime.allocate_tensors()
    (entry,) = runtime.get_input_details()
    for number, image in enumerate(images):
        runtime.set_tensor(entry["index"], image[None])
        runtime.invoke()
        for output, detail in zip(spec.conversion.outputs, runtime.get_output_details(), strict=True):
            if output in ours:
                theirs = runtime.get_tensor(detail["index"])[0]
                got = ours[output][number]
                if got.ndim == 3:  # kept as (c, h, w)
                    got = got.transpose(1, 2, 0)
                    # 1e-7: a probability of 2e-7 is a logit of -15, whose last bits show
                    limit = 2e-5 * np.abs(theirs).max() + 1e-7
                    assert np.abs(got.ravel() - theirs.ravel()).max() <= limit, output


@pytest.mark.parametrize("name", ["face68-faceapi", "face68-faceapi-tiny"])
def test_face_api_weights_convert_byte_for_byte(name, shared, cache, https_server):
    spec = get_spec(name)
    originals = []
    for original in spec.conversion.originals:
        file = original.url.rpartition("/")[2]
        https_server.files[f"/{file}"] = (shared / "models" / spec.file).parent.joinpath("orig", file).read_bytes()
        originals.append(original.model_copy(update={"url": f"{https_server.url}/{file}"}))
    conversion = spec.conversion.model_copy(update={"originals": tuple(originals)})
    path = resolve(spec.model_copy(update={"conversion": conversion}))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == spec.sha256
    assert len(https_server.requests) == 2


@pytest.mark.parametrize("manifest", [b"[]", b"{", b'[{"weights": [{"name": "fc/bias", "shape": [136]}]}]'])
def test_other_weights_are_no_face_api_net(manifest):
    convert = CONVERTERS["face-api"].load()
    with pytest.raises(InputError, match="face-api weights: not those of a 68-point net: "):
        convert([manifest, b""], get_spec("face68-faceapi").conversion)


def test_pull_converts(litert, shared, cache, https_server):
    spec = get_spec("blazeface-short")
    url = f"{https_server.url}/net.tflite"
    https_server.files["/net.tflite"] = original_of(shared, spec)
    originals = tuple(original.model_copy(update={"url": url}) for original in spec.conversion.originals)
    spec = spec.model_copy(update={"conversion": spec.conversion.model_copy(update={"originals": originals})})
    path = resolve(spec)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == spec.sha256
    other = spec.model_copy(update={"sha256": "0" * 64, "file": "other/other.onnx"})
    with pytest.raises(InputError, match=r"the converted file has sha256 ffd6a0ff\w+, expected 0{64}"):
        resolve(other)
    assert not (cache / other.file).exists()


def test_without_the_extra_nothing_is_downloaded(cache, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] in ("tflite", "ai_edge_litert"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "landmark_ops.detectors.tflite.conversion", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"converting it needs the package tflite: install landmark-ops\[convert\]"):
        resolve(get_spec("hand-21-lite"))


def test_integer_models_are_refused(litert, shared):
    from landmark_ops.detectors.tflite.conversion import convert_tflite

    with pytest.raises(InputError, match="it takes other than one float32 image"):
        convert_tflite(original_of(shared, get_spec("movenet-lightning")), ["points"])
