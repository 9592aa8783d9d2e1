"""Files to pictures or reason codes: every kind of file of tests/hostile.py, formats, orientations, scaled decoding."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from landmark_ops.images import decode as module
from landmark_ops.images import reasons
from landmark_ops.images.decode import DecodeFailure, decode, examine
from landmark_ops.images.geometry import Affine, resize_rows
from tests.hostile import (
    HEIGHT,
    ORIENTATION,
    WIDTH,
    chunk,
    exif,
    hostile_files,
    pixels_chunk,
    png,
    reference,
    save,
    stored,
)

FILES = hostile_files()
GOOD = [name for name, (_, reason) in FILES.items() if reason is None]
BAD = [name for name, (_, reason) in FILES.items() if reason is not None]

GRAY = np.repeat(reference()[..., :1], 3, axis=2)
#: What a file shows, where that is not the reference picture, and how far off its pixels may be on average.
SHOWS = {
    "gray.jpg": GRAY,
    "gray-16.png": GRAY,
    "gray-alpha.png": GRAY,
    "gray-16.tiff": GRAY,
    "gray-transparent.png": np.where(GRAY == 77, 255, GRAY),
    "gray-128.jpg": np.full((32, 32, 3), 128),
    "one-pixel.png": reference()[:1, :1],
    "one-pixel.jpg": reference()[:1, :1],
    "bilevel.png": np.asarray(Image.fromarray(reference()).convert("1").convert("RGB")),
    "palette-transparent.png": None,
}
EXACT = (".png", ".tiff", ".bmp", "lossless.webp", "alpha.webp")
PALETTE = ("palette.png", "palette.bmp", "still.gif")


def reason_of(data: bytes, **options: int) -> str:
    with pytest.raises(DecodeFailure) as caught:
        decode(data, **options)
    return caught.value.reason


def test_there_are_enough_hostile_files():
    assert len(BAD) >= 40
    assert {reason for _, reason in FILES.values() if reason} == set(reasons.MEANINGS) - {
        reasons.DECODER_CRASHED,
        reasons.TOO_SLOW,
        reasons.MISSING,
        reasons.NET_UNDEFINED,
    }


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_a_failure_with_a_reason(name):
    data, expected = FILES[name]
    began = time.perf_counter()
    with pytest.raises(DecodeFailure) as caught:
        decode(data)
    assert caught.value.reason == expected
    assert str(caught.value) == f"{expected}: {caught.value.detail}"
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("name", GOOD)
def test_an_odd_file_shows_its_picture(name):
    expected = SHOWS.get(name, reference())
    found = decode(FILES[name][0])
    assert found.image.dtype == np.uint8
    assert found.image.flags.c_contiguous
    assert (found.height, found.width) == found.image.shape[:2]
    assert found.scale == 1
    if expected is not None:
        error = np.abs(found.image.astype(int) - expected)
        if name in PALETTE:
            assert error.mean() < 6
        elif name.endswith(EXACT):
            assert error.max() == 0
        else:
            assert error.mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"mode": "CMYK"}, {"mode": "L"}])
def test_every_orientation_comes_out_upright(orientation, options):
    options = dict(options)
    mode = options.pop("mode", "RGB")
    picture = Image.fromarray(stored(reference(), orientation)).convert(mode)
    found = decode(save(picture, "JPEG", quality=95, subsampling=0, exif=exif(orientation), **options))
    assert (found.width, found.height) == (WIDTH, HEIGHT)
    assert np.abs(found.image.astype(int) - (GRAY if mode == "L" else reference())).mean() < (45 if mode == "L" else 2)
    if mode == "L":
        upright = np.asarray(Image.fromarray(reference()).convert("L"))
        assert np.abs(found.image[..., 0].astype(int) - upright).mean() < 2


def test_orientation_as_opencv_reads_it():
    for orientation in range(1, 9):
        data = FILES[f"orientation-{orientation}.jpg"][0]
        np.testing.assert_array_equal(
            decode(data).image, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        )


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff_comes_out_upright(compression):
    data = save(stored(reference(), 6), "TIFF", compression=compression, tiffinfo={ORIENTATION: 6})
    np.testing.assert_array_equal(decode(data).image, reference())


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_orientation_that_does_not_exist_is_none(value):
    np.testing.assert_array_equal(decode(save(reference(), "PNG", exif=exif(value))).image, reference())


def test_common_files_decode_as_opencv_decodes_them(rng):
    picture = cv2.resize(rng.integers(0, 256, (30, 40, 3), np.uint8), (333, 251), interpolation=cv2.INTER_CUBIC)
    for name, options in [(".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90]), (".png", []), (".webp", [])]:
        encoded = cv2.imencode(name, picture, options)[1]
        found = decode(encoded.tobytes())
        np.testing.assert_array_equal(found.image, cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB))
        np.testing.assert_array_equal(decode(memoryview(encoded.tobytes())).image, found.image)


def test_real_photographs_decode_as_opencv_decodes_them(shared):
    for path in sorted((shared / "images").glob("*.[jp][pn]g")):
        np.testing.assert_array_equal(decode(path.read_bytes()).image, cv2.imread(str(path), cv2.IMREAD_COLOR_RGB))


def test_what_was_made_transparent_is_not_seen():
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[:, 20:40] = 255
    alpha[:, 40:] = 128
    for data in (
        save(np.dstack([reference(), alpha]), "PNG"),
        save(np.dstack([reference(), alpha]), "WEBP", lossless=True, exact=True),
        save(np.dstack([reference(), alpha]), "TIFF"),
        png(WIDTH, HEIGHT, 16, 6, pixels_chunk(np.dstack([reference(), alpha]).astype(np.uint16) * 257)),
    ):
        found = decode(data).image
        assert (found[:, :20] == 255).all()
        np.testing.assert_array_equal(found[:, 20:40], reference()[:, 20:40])
        blended = (reference()[:, 40:] * 128.0 + 255 * 127) / 255
        assert np.abs(found[:, 40:] - blended).max() <= 0.5


def test_sixteen_bits_lose_their_low_byte(rng):
    wide = rng.integers(0, 65536, (HEIGHT, WIDTH, 3), np.uint16)
    for data in (
        png(WIDTH, HEIGHT, 16, 2, pixels_chunk(wide)),
        cv2.imencode(".tiff", wide[..., ::-1])[1].tobytes(),
    ):
        np.testing.assert_array_equal(decode(data).image, wide >> 8)
    for data in (
        png(WIDTH, HEIGHT, 16, 0, pixels_chunk(wide[..., 0])),
        cv2.imencode(".tiff", wide[..., 0])[1].tobytes(),
    ):
        np.testing.assert_array_equal(decode(data).image, np.repeat(wide[..., :1] >> 8, 3, axis=2))


@pytest.mark.parametrize(
    ("min_side", "scale"),
    [
        (None, 1),
        (1000, 1),
        (241, 1),
        (201, 1),
        (200, 1 / 2),
        (101, 1 / 2),
        (100, 1 / 4),
        (51, 1 / 4),
        (50, 1 / 8),
        (1, 1 / 8),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_scaled_decoding_keeps_the_shorter_side(min_side, scale, orientation):
    data = save(stored(reference(400, 602), orientation), "JPEG", exif=exif(orientation))
    found = decode(data, min_side=min_side)
    assert found.scale == scale
    assert (found.width, found.height) == (602, 400)
    assert found.image.shape == (-(-400 * scale // 1), -(-602 * scale // 1), 3)


@pytest.mark.parametrize("min_side", [150, 90, 40])
@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_positions_survive_scaled_decoding(min_side, mode):
    y, x = np.mgrid[:331, :405]
    light = np.rint(250 * np.exp(-((x - 150.3) ** 2 + (y - 98.6) ** 2) / (2 * 20.0**2))).astype(np.uint8)
    picture = Image.fromarray(np.repeat(light[..., None], 3, axis=2)).convert(mode)
    found = decode(save(picture, "JPEG", quality=98), min_side=min_side)
    assert found.scale < 1
    seen = np.where(found.image[..., 0] > 8, found.image[..., 0], 0).astype(float)
    y, x = np.mgrid[: seen.shape[0], : seen.shape[1]]
    centre = np.array([(seen * x).sum(), (seen * y).sum()]) / seen.sum()
    assert (
        np.abs(Affine(resize_rows(found.scale, found.scale, 0, 0)).inverse().apply(centre) - [150.3, 98.6]).max() < 0.1
    )


def test_a_cut_jpeg_is_seen_at_every_scale(rng):
    picture = cv2.resize(rng.integers(0, 256, (30, 40, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
    data = save(picture, "JPEG", quality=90)
    for share in (0.3, 0.6, 0.8):
        cut = data[: int(len(data) * share)]
        for min_side in (None, 240, 120, 60):
            assert reason_of(cut, min_side=min_side) == reasons.TRUNCATED
            assert reason_of(cut + b"\xff\xd9", min_side=min_side) == reasons.TRUNCATED


def test_every_cut_of_a_file_is_a_failure():
    """Not one byte can be missing, up to the last."""
    for name in ("plain.jpg", "progressive.jpg", "rgba.png", "plain.webp", "plain.bmp", "still.gif", "lzw.tiff"):
        data = FILES[name][0]
        for size in [*range(0, len(data), 41), len(data) - 1]:
            if name == "lzw.tiff" and size > len(data) - 20:
                continue  # the last tags of a directory are not the picture
            assert reason_of(data[:size]) in (
                reasons.EMPTY,
                reasons.TRUNCATED,
                reasons.NOT_AN_IMAGE,
            ), (name, size)


def test_the_pixel_cap_holds_before_any_decoding(monkeypatch):
    monkeypatch.setattr(module, "decode_examined", None)
    data = save(reference(), "PNG")
    with pytest.raises(DecodeFailure, match="64 × 48 pixels are more than 3071: raise max_pixels to read it"):
        decode(data, max_pixels=3071)
    assert examine(data, max_pixels=3072)[0].width == 64


def test_bombs_cost_no_memory(tmp_path):
    words = ("huge", "thousand", "bomb", "canvas")
    bombs = [(name, data) for name, (data, _) in FILES.items() if any(word in name for word in words)]
    assert len(bombs) >= 12
    for name, data in bombs:
        (tmp_path / name).write_bytes(data)
    code = """
import pathlib, resource, sys
from landmark_ops.images.decode import DecodeFailure, decode
files = [path.read_bytes() for path in pathlib.Path(sys.argv[1]).iterdir()]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for data in files:
    try:
        decode(data)
    except DecodeFailure:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 30 << 10  # KiB; one of the texts alone inflates to 64 MiB


def test_the_decoder_gets_the_pixel_chunks_only():
    data = FILES["ztxt-bomb.png"][0]
    payload = examine(data)[1].payload
    assert payload == png(WIDTH, HEIGHT, 8, 2, pixels_chunk(reference()))
    plain = save(reference(), "PNG")
    assert examine(plain)[1].payload is plain


def test_rare_kinds_are_told_from_common_ones():
    common = {name for name in GOOD if examine(FILES[name][0])[1].common}
    assert {"plain.jpg", "progressive.jpg", "gray.jpg", "rgb-16.png", "plain.webp"} <= common
    rare = (".tiff", ".bmp", ".gif", ".avif", ".jp2", ".ppm", ".qoi")
    assert {name for name in GOOD if name.endswith(rare)}.isdisjoint(common)
    assert {"cmyk-adobe.jpg", "ycck-adobe.jpg"}.isdisjoint(common)
    many = FILES["progressive.jpg"][0]
    scan = many.index(b"\xff\xda")
    assert not examine(many[:scan] + many[scan:-2] * 60 + many[-2:])[1].common


def test_a_picture_of_another_size_than_its_header_is_refused(monkeypatch):
    monkeypatch.setattr(module, "opencv_decode", lambda *_: np.zeros((3, 3, 3), np.uint8))
    assert reason_of(FILES["plain.jpg"][0]) == reasons.DECODER_ERROR


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), reasons.TOO_LARGE),
        (Image.DecompressionBombError(), reasons.TOO_LARGE),
        (OSError("image file is truncated (3 bytes not processed)"), reasons.TRUNCATED),
        (ZeroDivisionError(), reasons.DECODER_ERROR),
        (cv2.error("?"), reasons.DECODER_ERROR),
    ],
)
def test_whatever_a_decoder_raises_is_a_failure(monkeypatch, error, reason):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(module, "opencv_decode", fail)
    if isinstance(error, cv2.error):
        error.code = cv2.Error.STS_ERROR
    assert reason_of(FILES["plain.jpg"][0]) == reason


SEEDS = [FILES[name][0] for name in GOOD if len(FILES[name][0]) < 20_000]


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_no_damage_escapes_as_another_error(data, draw):
    """Flipped bytes, cut and joined files: a picture or a DecodeFailure."""
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 6))):
        damaged[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(0, len(data)))
    tail = draw.draw(st.sampled_from(SEEDS)) if draw.draw(st.booleans()) else b""
    found = None
    with contextlib.suppress(DecodeFailure):
        found = decode(bytes(damaged[:cut]) + tail, max_pixels=1_000_000)
    if found is not None:
        assert found.image.shape == (found.height, found.width, 3)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(
        [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\0\0\0WEBP", b"GIF89a", b"BM", b"II*\0", b"MM\0+", b""]
    ),
    st.binary(max_size=200),
)
def test_no_noise_escapes_as_another_error(magic, noise):
    assert reason_of(magic + noise, max_pixels=100_000) in reasons.MEANINGS


def test_failures_travel_between_processes():
    failure = pickle.loads(pickle.dumps(DecodeFailure(reasons.TRUNCATED, "half of it")))
    assert (failure.reason, failure.detail, str(failure)) == ("truncated", "half of it", "truncated: half of it")


def test_details_do_not_quote_the_file():
    canary = b"canary-7c1d"
    for start in (
        b"",
        b"<html>",
        b"\xff\xd8\xff\xfe\0\x0c",
        b"\x89PNG\r\n\x1a\n\0\0\0\x0b",
        b"GIF89a",
        b"II*\0\x08\0\0\0",
    ):
        with pytest.raises(DecodeFailure) as caught:
            decode(start + canary * 20)
        assert "canary" not in str(caught.value)


def test_apng_of_one_frame_is_a_picture():
    data = png(WIDTH, HEIGHT, 8, 2, chunk(b"acTL", b"\0\0\0\1\0\0\0\0"), pixels_chunk(reference()))
    np.testing.assert_array_equal(decode(data).image, reference())


@pytest.mark.parametrize(
    ("data", "reason", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", reasons.NOT_AN_IMAGE, "git lfs pull"),
        (b"/9j/4AAQSkZJRgABAQ", reasons.NOT_AN_IMAGE, "base64 text"),
        (b"data:image/png;base64,iVBORw0KGgo", reasons.NOT_AN_IMAGE, "base64 text"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', reasons.UNSUPPORTED, "SVG"),
        (b"#?RGBE\nFORMAT=32-bit_rle_rgbe", reasons.UNSUPPORTED, "Radiance HDR"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", reasons.UNSUPPORTED, "PostScript"),
        (bytes(128) + b"DICM", reasons.UNSUPPORTED, "DICOM"),
    ],
)
def test_what_stands_in_a_pictures_place_is_named(data, reason, told):
    with pytest.raises(DecodeFailure, match=told) as caught:
        decode(data)
    assert caught.value.reason == reason
