from __future__ import annotations

import hashlib
import pickle
import re

import pytest
import yaml

from landmark_ops.detectors.models import get_spec, list_specs, read_spec
from landmark_ops.errors import InputError

SHIPPED = {
    "3ddfa-mb05", "blazeface-full", "blazeface-short", "blazepose-33-lite", "face68-faceapi", "face68-faceapi-tiny",
    "facemesh-468", "hand-21-lite", "iris", "movenet-lightning", "mtcnn-o", "mtcnn-p", "mtcnn-r", "palm-full",
    "pose-detection", "retinaface-mnet025", "ultralight-rfb320", "yunet-n", "yunet-s",
}  # fmt: skip
MINE = {
    "name": "my-net",
    "file": "nets/mine.onnx",
    "licence": "MIT",
    "sha256": "0" * 64,
    "size_bytes": 10,
    "outputs": ["points"],
    "decoder": "regression68",
}
FINDS = {"score_threshold": 0.6, "nms_iou": 0.3}

MISTAKES = [
    ({"colour": "RGB"}, "colour is no known key: valid here: conversion, decoder, file, input, "),
    ({"licens": "MIT"}, "licens is no known key: did you mean licence?"),
    ({"input": {"color": "RGB"}}, "input.color is no known key: did you mean colour?"),
    ({"input": {"colour": "GRB"}}, "input.colour: input should be 'RGB' or 'BGR', got 'GRB'"),
    ({"input": {"width": 64}}, "input: give both width and height"),
    ({"input": {"dtype": "uint8", "std": [255, 255, 255]}}, "a uint8 input takes bytes as they are"),
    ({"input": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}}, "are not on the 0..255 scale of pixels"),
    ({"input": {"mean": [0.5, 0.5, 0.5], "std": [255, 255, 255]}}, "are not on the 0..255 scale of pixels"),
    ({"decoder": "yolo"}, "decoder 'yolo' is unknown: valid: blaze_ssd, blazepose"),
    (
        {"parameters": {"pixel_ofset": -0.5}},
        "parameters.pixel_ofset is nothing that decoder regression68 reads: did you",
    ),
    ({"parameters": {"presence_threshold": 0.5}}, "parameters.presence_threshold is nothing that decoder regression68"),
    ({"parameters": {"points": 68.5}}, "parameters.points is 68.5: decoder regression68 needs a whole number from 1"),
    ({"parameters": {"points": True}}, "parameters.points is True"),
    ({"decoder": "heatmap", "parameters": {"method": "dsnt"}}, "decoder heatmap needs one of argmax, dark, udp, soft"),
    ({"decoder": "ultralight", "parameters": {"score_threshold": 60, "nms_iou": 0.3}}, "needs a number from 0 to 1"),
    ({"decoder": "ultralight", "parameters": {"nms_iou": 0.3}}, "parameters.score_threshold is missing: decoder ultra"),
    (
        {"decoder": "ultralight", "parameters": FINDS, "outputs": ["boxes", "scores"]},
        "outputs are boxes, scores: decoder ultralight takes them as scores, boxes",
    ),
    (
        {"decoder": "ultralight", "parameters": FINDS | {"max_side": 640}, "input": {"width": 64, "height": 64}},
        "parameters.max_side changes nothing where input.width and height are fixed",
    ),
    ({"decoder": "simcc", "outputs": ["simcc_y", "simcc_x"]}, "decoder simcc takes them as simcc_x, simcc_y"),
    (
        {"decoder": "pipnet", "parameters": {"stride": 32, "neighbours": [1, 2]}},
        "parameters.neighbours is [1, 2]: deco",
    ),
    ({"input": {"std": [0, 1, 1]}}, "input.std.0: input should be greater than 0, got 0"),
    ({"file": "../mine.onnx"}, "file: '../mine.onnx' is no relative path"),
    ({"file": "/somewhere/mine.onnx"}, "file: '/somewhere/mine.onnx' is no relative path"),
    ({"url": "http://example.org/mine.onnx"}, "url: 'http://example.org/mine.onnx' is no https:// address"),
    ({"url": "file:///somewhere/mine.onnx"}, "is no https:// address"),
    ({"sha256": "abc"}, "sha256: string should match pattern"),
    ({"size_bytes": 0}, "size_bytes: input should be greater than 0"),
    ({"outputs": []}, "outputs: tuple should have at least 1 item"),
    ({"outputs": ["a", "a"]}, "name one output twice"),
    ({"name": "My Net"}, "name: string should match pattern"),
    ({"folder": "/tmp"}, "folder is no key of a spec"),
    ({"_target_": "os.system"}, "_target_ is no known key"),
]


@pytest.fixture
def write_spec(tmp_path, cache):
    (tmp_path / "specs").mkdir()

    def write(changed=None, *, to="mine.yaml"):  # the mistakes hold hostile paths: they never name what is written
        path = tmp_path / "specs" / to
        assert path.parent == tmp_path / "specs"
        path.write_text(yaml.safe_dump(MINE | (changed or {})))
        return path

    return write


def test_every_model_has_a_spec(cache):
    assert {spec.name for spec in list_specs()} == SHIPPED


def test_specs_are_the_files_that_were_checked(shared, cache):
    files = {str(path.relative_to(shared / "models")): path for path in (shared / "models").glob("*/*.onnx")}
    assert {spec.file for spec in list_specs()} == files.keys()
    for spec in list_specs():
        data = files[spec.file].read_bytes()
        assert (spec.size_bytes, spec.sha256) == (len(data), hashlib.sha256(data).hexdigest()), spec.name


def test_addresses_are_pinned_as_the_sources_say(shared, cache):
    for spec in list_specs():
        source = (shared / "models" / spec.file).with_name("SOURCE.md").read_text()
        repo, commit = re.search(r"https://github.com/(\S+) commit ([0-9a-f]{40})", source).groups()
        originals = spec.conversion.originals if spec.conversion else ()
        for url in [spec.url] if spec.url else [original.url for original in originals]:
            prefix = f"https://raw.githubusercontent.com/{repo}/{commit}/"
            assert url.startswith(prefix), spec.name
            assert f"byte copy of {url.removeprefix(prefix)}," in source, spec.name
        for original in originals:
            assert f"{original.size_bytes} bytes, sha256 {original.sha256}" in source, spec.name
        assert f"licence: {spec.licence}" in source, spec.name


def test_licence_traps_are_told(cache):
    for name in ("face68-faceapi", "face68-faceapi-tiny", "3ddfa-mb05"):
        assert "research only" in " ".join(get_spec(name).licence_notes), name
    assert "Basel Face Model" in " ".join(get_spec("3ddfa-mb05").licence_notes)


def test_a_spec_pickles_and_stays_equal(cache):
    for spec in list_specs():
        assert pickle.loads(pickle.dumps(spec)) == spec


def test_an_unknown_name_lists_the_nearest(cache):
    with pytest.raises(InputError, match=r"model 'yunet' is unknown: did you mean yunet-[ns] or yunet-[ns]\?"):
        get_spec("yunet")
    with pytest.raises(InputError, match="model 'zzzz' is unknown: known models: 3ddfa-mb05, blazeface-full, "):
        get_spec("zzzz")


def test_a_spec_of_ones_own_joins(write_spec, monkeypatch):
    path = write_spec()
    for extra in (path, path.parent):
        spec = get_spec("my-net", extra)
        assert (spec.file, spec.folder) == ("nets/mine.onnx", str(path.parent))
        assert "folder" not in spec.model_dump()
    monkeypatch.setenv("LANDMARKS_MODEL_SPECS", str(path.parent))
    assert {spec.name for spec in list_specs()} == SHIPPED | {"my-net"}
    assert len(list_specs(path)) == len(SHIPPED) + 1  # named twice, read once


def test_a_name_means_one_file(write_spec):
    path = write_spec({"name": "yunet-n"})
    with pytest.raises(InputError, match="name 'yunet-n' is taken by the shipped models: give it another name"):
        list_specs(path)
    write_spec()
    write_spec(to="other.yaml")
    with pytest.raises(InputError, match=r"other.yaml: name 'my-net' is taken by .*mine.yaml"):
        list_specs(path.parent)


@pytest.mark.parametrize(("changed", "message"), MISTAKES)
def test_mistakes_are_named(write_spec, changed, message):
    path = write_spec(changed)
    with pytest.raises(InputError) as caught:
        read_spec(path)
    assert str(caught.value).startswith(f"model spec {path}: ")
    assert message in str(caught.value)


def test_url_and_conversion_exclude_each_other(write_spec):
    original = {"url": "https://example.org/mine.tflite", "sha256": "1" * 64, "size_bytes": 9}
    conversion = {"format": "tflite", "originals": [original]}
    assert read_spec(write_spec({"conversion": conversion})).conversion.originals[0].size_bytes == 9
    with pytest.raises(InputError, match="url and conversion exclude each other"):
        read_spec(write_spec({"conversion": conversion, "url": "https://example.org/mine.onnx"}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "not plain YAML at line"),
        ("name: a\nname: b\n", "key 'name' is given twice"),
        ("- name: a\n", "holds list, needs a mapping"),
        ("", "holds NoneType, needs a mapping"),
        ("size_bytes: 010\n", "not plain YAML at line 1: 010 has a leading zero"),
        ("#" * ((1 << 20) + 1), "holds more than 1 MiB: this is no model spec"),
    ],
)
def test_broken_yaml_is_named(write_spec, text, message):
    path = write_spec()
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        read_spec(path)


def test_yaml_tags_run_nothing(write_spec, tmp_path):
    path = write_spec()
    canary = tmp_path / "canary"
    path.write_text(f"name: !!python/object/apply:os.mkdir ['{canary}']\n")
    with pytest.raises(InputError, match="not plain YAML at line 1: could not determine a constructor"):
        read_spec(path)
    assert not canary.exists()


def test_missing_places_are_named(tmp_path, cache):
    with pytest.raises(InputError, match="is neither a spec file nor a folder of them"):
        list_specs(tmp_path / "none")
    with pytest.raises(InputError, match=r"holds no \.yaml file"):
        list_specs(tmp_path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_spec(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="it is not UTF-8 text"):
        read_spec(tmp_path / "binary.yaml")
