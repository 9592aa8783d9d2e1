"""What a notebook hands over as pictures: each kind is opened, or told in one line; a broken one costs itself."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from landmark_ops.detectors import api
from landmark_ops.detectors.instances import Instances, unknown
from landmark_ops.errors import InputError
from landmark_ops.images.decode import DecodeFailure, from_pillow
from tests.hostile import exif, reference, save, stored

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


def test_boxes_for_one_picture_and_outside_it(seen: list[Any]) -> None:
    api.detect(PICTURE, boxes=[1, 2, 30, 40])
    np.testing.assert_array_equal(seen[1], [[[1, 2, 30, 40]]])
    with pytest.warns(UserWarning, match="box 1 of picture 0 lies outside it"):
        api.detect(PICTURE, boxes=[[1, 2, 30, 40], [1000, 0, 1100, 5]])
    with pytest.raises(InputError, match="boxes for 2 images, got 1 images"):
        api.detect([PICTURE], boxes=[None, None])
