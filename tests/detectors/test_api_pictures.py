"""Pictures that a notebook passes: each kind is opened, or refused in one line; a broken one fails alone."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from landmark_ops.detectors import api
from landmark_ops.detectors.instances import Instances, unknown
from landmark_ops.errors import InputError
from landmark_ops.images.decode import DecodeFailure, decode
from landmark_ops.images.pillow_pictures import from_pillow
from tests.hostile import HEIGHT, WIDTH, exif, reference, save, stored

PICTURE = reference()


@pytest.fixture(autouse=True)
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The pictures that reach the pipeline, which finds one instance in each."""
    met: list[Any] = []

    def run(pipeline: object, images: list[Any], *, boxes: object, **options: object) -> list[Instances]:
        met[:] = [*images, boxes]
        one = Instances(np.ones((1, 4)), np.ones(1), np.ones((1, 5, 3)), unknown(1, 5), unknown(1, 5), {}, ("net",))
        return [one for _ in images]

    monkeypatch.setattr(api, "run_pipeline", run)
    return met


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_of_pillow_comes_upright(seen: list[Any], turn: int) -> None:
    picture = Image.fromarray(stored(PICTURE, turn))
    picture.getexif()[0x0112] = turn
    assert len(api.detect(picture)) == 1
    np.testing.assert_array_equal(seen[0], PICTURE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_every_mode_of_pillow(mode: str) -> None:
    plain = Image.fromarray(PICTURE)
    wide = Image.fromarray(PICTURE[..., 0].astype(np.uint16) * 257)
    picture = wide if mode == "I;16" else plain.convert(mode)
    shown = Image.fromarray(PICTURE[..., 0]) if mode == "I;16" else picture
    np.testing.assert_array_equal(from_pillow(picture), np.asarray(shown.convert("RGB")))


def test_broken_metadata_spoils_no_picture() -> None:
    picture = Image.fromarray(PICTURE)
    picture.info["exif"] = b"garbage" * 5
    np.testing.assert_array_equal(from_pillow(picture), PICTURE)
    tiff = Image.open(io.BytesIO(save(stored(PICTURE, 6), "TIFF", tiffinfo={0x0112: 6})))
    np.testing.assert_array_equal(from_pillow(tiff), PICTURE)  # which Pillow has turned already


def test_transparent_and_too_deep_pictures_of_pillow() -> None:
    clear = Image.fromarray(np.dstack([PICTURE, np.zeros(PICTURE.shape[:2], np.uint8)]))
    assert (from_pillow(clear) == 255).all()
    with pytest.raises(DecodeFailure, match="unsupported"):
        from_pillow(Image.fromarray(PICTURE[..., 0].astype(np.float32)))


def without_adobe(data: bytes) -> bytes:
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


DEEP = (np.arange(WIDTH * HEIGHT, dtype=np.uint16) * 21).reshape(HEIGHT, WIDTH)
OF_A_FILE = {
    "CMYK": save(Image.fromarray(PICTURE).convert("CMYK"), "JPEG"),
    "CMYK without Adobe": without_adobe(save(Image.fromarray(PICTURE).convert("CMYK"), "JPEG")),
    "white is zero": save(DEEP, "TIFF", tiffinfo={262: 0}),
    "white is zero, 8 bits": save(PICTURE[..., 0], "TIFF", tiffinfo={262: 0}),
    "black is zero": save(DEEP, "TIFF"),
    "a clear level of 16 bits": save(DEEP, "PNG", transparency=int(DEEP[5, 5])),
    "a clear level of 8 bits": save(PICTURE[..., 0], "PNG", transparency=int(PICTURE[5, 5, 0])),
    "a clear colour": save(PICTURE, "PNG", transparency=tuple(PICTURE[5, 5].tolist())),
    "12 bits": b"P5\n3 1\n4095\n" + np.array([0, 2000, 4095], ">u2").tobytes(),
    "a palette": save(Image.fromarray(PICTURE).quantize(16), "PNG", transparency=3),
    "a small frame": save(Image.fromarray(PICTURE).quantize(16), "GIF"),
}


@pytest.mark.parametrize("kind", OF_A_FILE)
def test_a_file_that_pillow_has_opened_is_the_picture_that_its_bytes_are(kind: str) -> None:
    data = OF_A_FILE[kind]
    np.testing.assert_array_equal(from_pillow(Image.open(io.BytesIO(data))), decode(data).image)


@pytest.mark.parametrize("value", [5, 1000])
@pytest.mark.parametrize("loaded", [False, True])
def test_a_clear_colour_of_which_pillow_has_lost_half_is_refused(value: int, loaded: bool) -> None:
    pixels = np.full((4, 4, 3), value, np.uint16)
    data = bytes(cv2.imencode(".png", pixels)[1])
    clear = value.to_bytes(2, "big") * 3
    chunk = b"\0\0\0\6tRNS" + clear + zlib.crc32(b"tRNS" + clear).to_bytes(4, "big")
    data = data[:33] + chunk + data[33:]
    assert (decode(data).image == 255).all()
    picture = Image.open(io.BytesIO(data))
    if loaded and value > 255:  # of smaller values nothing tells them from those of 8 bits by then
        picture.load()
    with pytest.raises(DecodeFailure, match="a transparent colour of 16 bits"):
        from_pillow(picture)


@pytest.mark.parametrize(
    "make",
    [
        lambda data, path: data,
        lambda data, path: bytearray(data),
        lambda data, path: memoryview(data),
        lambda data, path: path,
        lambda data, path: str(path),
        lambda data, path: f"file://{path}",
        lambda data, path: Image.open(path),
        lambda data, path: PICTURE,
        lambda data, path: [path],
        lambda data, path: (one for one in [path]),
        lambda data, path: (PICTURE,),
        lambda data, path: PICTURE[None],
    ],
)
def test_every_kind_of_picture(seen: list[Any], tmp_path: Path, make: Any) -> None:
    data = save(PICTURE, "PNG", exif=exif(1))
    (tmp_path / "a.png").write_bytes(data)
    assert len(api.detect(make(data, tmp_path / "a.png"))) == 1
    np.testing.assert_array_equal(seen[0], PICTURE)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "images is NoneType, needed is a path, bytes, .*: cv2.imread gives None"),
        (3, "images is int, needed is a path"),
        ({"a": PICTURE}, "images is dict, needed is a path"),
        ([3.5], "picture 0 is float, needed is a path"),
        ("/", "/: is a folder: give its files as a list"),
        ("nowhere/a.jpg", r"nowhere/a.jpg: missing: cannot be read \(No such file or directory\): leave it out"),
        ("nowhere/*.jpg", r"names with \* are not expanded, use glob.glob"),
        ("https://example.org/a.jpg", "https addresses are not read: download the picture"),
        (b"", "picture 0: empty: 0 bytes: leave it out"),
        (np.zeros(5, np.uint8), r"an array of shape \(5,\): give \(H, W, 3\) or \(n, H, W, 3\) RGB uint8"),
    ],
)
def test_what_is_no_picture_gets_one_line(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        api.detect(given)
    assert "\n" not in str(caught.value)


def test_a_gray_array_reaches_the_check_of_the_pipeline(seen: list[Any]) -> None:
    api.detect(PICTURE[..., 0])
    assert seen[0].shape == PICTURE.shape[:2]  # which says what it wants


@pytest.mark.parametrize("broken", [b"<html>", None, "nowhere/a.jpg", save(PICTURE, "PNG")[:99]])
def test_a_broken_picture_costs_itself(seen: list[Any], broken: Any) -> None:
    with pytest.warns(UserWarning, match="it has no rows"):
        found = api.detect([PICTURE, broken, PICTURE], boxes=[None, [[0, 0, 5, 5]], None])
    assert [len(here.boxes) for here in found] == [1, 0, 1]
    assert [here.failure is None for here in found] == [True, False, True]
    assert found[1].keypoints.shape == (0, 5, 3)
    assert seen[3] == [None, None, None]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[0.1, 0.1, 0.5, 0.5]], "box 0 of picture 0 lies within one pixel: boxes are in pixels"),
        ([["a", "b", "c", "d"]], "boxes are no numbers"),
        ([[1, 2, 30, 40], [1, 2]], "boxes are no numbers"),
    ],
)
def test_boxes_of_another_unit_or_no_numbers_are_refused(boxes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        api.detect(PICTURE, boxes=boxes)


def test_boxes_for_one_picture_and_outside_it(seen: list[Any]) -> None:
    api.detect(PICTURE, boxes=[1, 2, 30, 40])
    np.testing.assert_array_equal(seen[1], [[[1, 2, 30, 40]]])
    with pytest.warns(UserWarning, match="box 1 of picture 0 lies outside it"):
        api.detect(PICTURE, boxes=[[1, 2, 30, 40], [1000, 0, 1100, 5]])
    with pytest.raises(InputError, match="boxes for 2 images, got 1 images"):
        api.detect([PICTURE], boxes=[None, None])
