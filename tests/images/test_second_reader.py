"""Every kind of picture against a second reader, or against what was stored: formats × depths × layouts × compressions.

What we decode by OpenCV is compared with Pillow, what we decode by Pillow with the array that was stored by tifffile,
by OpenCV, or byte by byte here. A file may be refused, by name; it may never come out as another picture.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from itertools import product
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from landmark_ops.images import reasons
from landmark_ops.images.decode import DecodeFailure, decode
from tests.hostile import HEIGHT, WIDTH, chunk, exif, pixels_chunk, png, reference, save, stored, with_segment

RGB = reference()
GRAY = RGB[..., 1]
GRAY3 = np.repeat(GRAY[..., None], 3, axis=2)
ALPHA = np.broadcast_to(np.arange(WIDTH, dtype=np.uint8) * 4, (HEIGHT, WIDTH))
RGBA, GRAYA = np.dstack([RGB, ALPHA]), np.dstack([GRAY, ALPHA])
BGR = RGB[..., ::-1]

Files = Iterator[tuple[str, bytes, NDArray[Any], int]]
"""Name, bytes, what it shows (H, W, 3), and by how much a sample may be off."""


def wide(picture: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """8-bit samples as 16-bit ones."""
    return picture.astype(np.uint16) * 257


def on_white(rgba: NDArray[np.uint8]) -> NDArray[Any]:
    """What a transparent picture shows."""
    weight = rgba[..., -1:] / 255
    shown = np.rint(rgba[..., :-1] * weight + 255 * (1 - weight))
    return np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown


def by_pillow(data: bytes) -> NDArray[Any]:
    """Upright and opaque, as Pillow reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        if picture.has_transparency_data:
            return on_white(np.asarray(picture.convert("RGBA")))
        return np.asarray(picture.convert("RGB"))


def jpegs() -> Files:
    kinds = product(("RGB", "L", "CMYK"), (0, 1, 2), (False, True), (0, 3), (1, 6))
    for mode, subsampling, progressive, restart, turn in kinds:
        picture = Image.fromarray(stored(RGB, turn)).convert(mode)
        options = {"subsampling": subsampling, "progressive": progressive, "restart_marker_blocks": restart}
        data = save(picture, "JPEG", quality=80, exif=exif(turn), **options)
        yield f"{mode} {options} {turn}", data, by_pillow(data), 0
    plain = save(RGB, "JPEG", quality=95)
    shown = by_pillow(plain)
    for marker in (b"\xff\xdb", b"\xff\xc0", b"\xff\xc4", b"\xff\xda"):
        at = plain.index(marker)
        for stray in (b"\0", b"\x12\x34\x56", b"\xff\0", bytes(300), b"\xff\xff"):
            yield f"{stray[:3]!r} before {marker!r}", plain[:at] + stray + plain[at:], shown, 0
    yield "stray bytes before the end", plain[:-2] + b"\x01\x02\x03" + plain[-2:], shown, 0
    mpo = save(RGB, "MPO", save_all=True, append_images=[Image.fromarray(255 - RGB)])
    yield "MPO", mpo, by_pillow(mpo), 0
    for packet in (b'<x tiff:Orientation="6"/>', b"<tiff:Orientation>8</tiff:Orientation>", b"<x/>"):
        for block in ({}, {"exif": exif(3)}):
            data = save(RGB, "JPEG", quality=90, xmp=packet, **block)
            yield f"XMP {packet!r} {bool(block)}", data, by_pillow(data), 0
    yield "ICC", save(RGB, "JPEG", quality=95, icc_profile=bytes(100_000)), shown, 0
    yield "thumbnail", with_segment(plain, 0xE1, b"Exif\0\0" + save(RGB[:8, :8], "JPEG")), shown, 0


def packed(levels: NDArray[np.uint8], bits: int, pad_to: int = 8) -> list[bytes]:
    """Rows of samples of 1 to 8 bits, padded at their end."""
    rows = []
    for row in levels:
        digits = "".join(format(int(level), f"0{bits}b") for level in row)
        digits += "0" * (-len(digits) % pad_to)
        rows.append(int(digits, 2).to_bytes(len(digits) // 8, "big"))
    return rows


def pngs() -> Files:
    for mode in ("1", "L", "LA", "RGB", "RGBA", "P"):
        picture = Image.fromarray({"LA": GRAYA, "RGBA": RGBA}.get(mode, RGB))
        data = save(picture if mode in ("LA", "RGBA") else picture.convert(mode), "PNG")
        yield mode, data, by_pillow(data), 0
    for bits, clear in product((1, 2, 4, 8), (None, 0, bytes([0, 100]), bytes([255, 0]))):
        picture = Image.fromarray(RGB).quantize(2**bits)
        data = save(picture, "PNG", bits=bits, **({} if clear is None else {"transparency": clear}))
        yield f"palette of {bits} bits, transparent {clear!r}", data, by_pillow(data), 1
    for bits in (1, 2, 4, 8):
        levels = GRAY >> (8 - bits)
        shown = levels.astype(int) * 255 // (2**bits - 1)
        rows = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in packed(levels, bits))))
        yield f"gray of {bits} bits", png(WIDTH, HEIGHT, bits, 0, rows), np.dstack([shown] * 3), 0
        clear = int(levels[5, 5])
        data = png(WIDTH, HEIGHT, bits, 0, chunk(b"tRNS", struct.pack(">H", clear)), rows)
        yield f"gray of {bits} bits, one clear", data, np.dstack([np.where(levels == clear, 255, shown)] * 3), 0
    deep = wide(RGB)
    deep[10, 10] = deep[5, 5]
    deep[10, 10, 0] ^= 1  # the same but for its low byte: not transparent
    for name, samples, colour in (("gray", deep[..., 0], 0), ("rgb", deep, 2)):
        level = struct.pack(f">{samples[5, 5].size}H", *np.ravel(samples[5, 5]).tolist())
        clear = (samples.reshape(HEIGHT, WIDTH, -1) == samples[5, 5]).all(axis=2, keepdims=True)
        shown = np.where(clear, 255, samples.reshape(HEIGHT, WIDTH, -1) >> 8)
        data = png(WIDTH, HEIGHT, 16, colour, chunk(b"tRNS", level), pixels_chunk(samples))
        yield f"{name} of 16 bits, one clear", data, np.broadcast_to(shown, RGB.shape), 0
    yield "gray and alpha of 16 bits", png(WIDTH, HEIGHT, 16, 4, pixels_chunk(wide(GRAYA))), on_white(GRAYA), 0
    yield "rgba of 16 bits", png(WIDTH, HEIGHT, 16, 6, pixels_chunk(wide(RGBA))), on_white(RGBA), 0


def text_chunks(turn: int) -> Iterator[tuple[str, bytes]]:
    block = exif(turn).hex()
    lines = "\n".join(block[at : at + 72] for at in range(0, len(block), 72))
    profile = f"\nexif\n{len(block) // 2:8d}\n{lines}\n".encode()
    xmp = f'<rdf:Description tiff:Orientation="{turn}"/>'.encode()
    yield "tEXt EXIF", chunk(b"tEXt", b"Raw profile type exif\0" + profile)
    yield "zTXt EXIF", chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile))
    yield "iTXt XMP", chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    yield "iTXt XMP, compressed", chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp))
    yield "eXIf", chunk(b"eXIf", exif(turn).removeprefix(b"Exif\0\0"))


def turned_pngs() -> Files:
    for turn in range(1, 9):
        picture = stored(RGB, turn)
        height, width = picture.shape[:2]
        for (name, text), after in product(text_chunks(turn), (False, True)):
            chunks = (pixels_chunk(picture), text) if after else (text, pixels_chunk(picture))
            yield f"{name} {turn} after={after}", png(width, height, 8, 2, *chunks), RGB, 0


def bmps() -> Files:
    def bmp(bits: int, kind: int, rows: bytes, palette: bytes = b"", masks: bytes = b"", size: int = 40) -> bytes:
        start = 14 + size + (len(masks) if size == 40 else 0) + len(palette)
        head = struct.pack("<IiiHHIIiiII", size, WIDTH, HEIGHT, 1, bits, kind, len(rows), 0, 0, 0, 0)
        head += masks + bytes(size - 40 - len(masks)) if size > 40 else masks
        return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + head + palette + rows

    up = BGR[::-1]
    four = np.dstack([BGR, ALPHA])[::-1].tobytes()
    yield "24 bits", bmp(24, 0, up.tobytes()), RGB, 0
    yield "32 bits, the fourth unused", bmp(32, 0, four), RGB, 0
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    yield "version 4 with alpha", bmp(32, 3, four, masks=masks, size=108), on_white(RGBA), 1
    yield "version 5 with alpha", bmp(32, 3, four, masks=masks, size=124), on_white(RGBA), 1
    unused = np.pad(BGR, ((0, 0), (0, 0), (0, 1)))[::-1].tobytes()
    yield "an alpha that is nowhere set", bmp(32, 3, unused, masks=masks, size=108), RGB, 0
    shifts = [RGB[..., at].astype(np.uint16) for at in range(3)]
    five = (shifts[0] >> 3 << 11 | shifts[1] >> 2 << 5 | shifts[2] >> 3)[::-1].tobytes()
    yield "5, 6 and 5 bits", bmp(16, 3, five, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F)), RGB, 8
    yield (
        "5, 5 and 5 bits",
        bmp(16, 0, (shifts[0] >> 3 << 10 | shifts[1] >> 3 << 5 | shifts[2] >> 3)[::-1].tobytes()),
        RGB,
        8,
    )
    for bits in (1, 4, 8):
        picture = Image.fromarray(RGB).quantize(2**bits)
        levels = np.asarray(picture)
        colours = np.array(((picture.getpalette() or []) + [0] * 768)[: 3 * 2**bits], np.uint8).reshape(-1, 3)
        palette = np.pad(colours[:, ::-1], ((0, 0), (0, 1))).tobytes()
        yield (
            f"palette of {bits} bits",
            bmp(bits, 0, b"".join(packed(levels[::-1], bits, 32)), palette),
            colours[levels],
            0,
        )
        if bits == 8:
            runs = b"".join(b"".join(bytes([1, int(level)]) for level in row) + b"\0\0" for row in levels[::-1])
            yield "run lengths", bmp(8, 1, runs + b"\0\1", palette), colours[levels], 0


def webps_and_gifs() -> Files:
    for picture, options in (
        (RGB, {}),
        (GRAY, {}),
        (RGBA, {"exact": True}),
        (RGBA, {"exact": True, "lossless": True}),
        (RGB, {"lossless": True, "xmp": b'<x tiff:Orientation="6"/>'}),
        (RGB, {"lossless": True, "xmp": b'<x tiff:Orientation="6"/>', "exif": exif(8)}),
    ):
        data = save(picture, "WEBP", **options)
        yield f"WebP {options}", data, by_pillow(data), 1
    for options in ({}, {"transparency": 5}, {"interlace": 0}, {"interlace": 1}):
        picture = Image.fromarray(RGB).quantize(64)
        shown = np.asarray(picture.convert("RGB"))
        if "transparency" in options:
            shown = np.where(np.asarray(picture)[..., None] == 5, 255, shown)
        yield f"GIF {options}", save(picture, "GIF", **options), shown, 0


def jpeg2000s() -> Files:
    shown = {"L": (GRAY, GRAY3), "LA": (GRAYA, on_white(GRAYA)), "RGB": (RGB, RGB), "RGBA": (RGBA, on_white(RGBA))}
    options: list[dict[str, Any]] = [
        {},
        {"irreversible": True},
        {"tile_size": (20, 20)},
        {"num_resolutions": 3},
        {"mct": 0},
    ]
    for (mode, (picture, expected)), option in product(shown.items(), options):
        yield (
            f"JP2 {mode} {option}",
            save(picture, "JPEG2000", **option),
            expected,
            3 if "irreversible" in option else 0,
        )
    inks = Image.fromarray(RGB).convert("CMYK")
    yield "JP2 of inks", save(inks, "JPEG2000"), np.asarray(inks.convert("RGB")), 0
    yield "bare code stream", save(RGB, "JPEG2000", no_jp2=True), RGB, 0
    yield "JP2 of 16 bits", cv2.imencode(".jp2", wide(BGR))[1].tobytes(), RGB, 1
    yield "JP2 of 16 bits, gray", cv2.imencode(".jp2", wide(GRAY))[1].tobytes(), GRAY3, 0


def avifs() -> Files:
    for picture, subsampling in product((RGB, GRAY, RGBA), ("4:2:0", "4:2:2", "4:4:4")):
        data = save(picture, "AVIF", quality=100, subsampling=subsampling)
        if picture.ndim == 3 and picture.shape[2] == 3:  # OpenCV's own reading of libavif
            seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
            yield f"AVIF {subsampling}, by OpenCV", data, seen, 4
        yield f"AVIF {picture.shape} {subsampling}", data, by_pillow(data), 1
    for turn in range(1, 9):
        data = save(stored(RGB, turn), "AVIF", quality=100, subsampling="4:4:4", exif=exif(turn))
        yield f"AVIF turned {turn}", data, RGB, 4
    for bits in (10, 12):
        options = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 100]
        yield f"AVIF of {bits} bits", cv2.imencode(".avif", wide(BGR) >> (16 - bits), options)[1].tobytes(), RGB, 6


def pnms() -> Files:
    def text(samples: NDArray[Any]) -> bytes:
        return b"\n".join(b" ".join(b"%d" % value for value in row.ravel()) for row in samples) + b"\n"

    light = GRAY > 100
    shown = np.where(light[..., None], 255, 0).repeat(3, axis=2)
    yield "P1", b"P1\n# a comment\n64 48\n" + text(~light), shown, 0
    yield "P4", b"P4\n64 48\n" + np.packbits(~light, axis=1).tobytes(), shown, 0
    yield "P2", b"P2 64 48 255\n" + text(GRAY), GRAY3, 0
    yield "P3", b"P3\n64 # wide\n48\n255\n" + text(RGB), RGB, 0
    yield "P5", b"P5\n64 48\n255\n" + GRAY.tobytes(), GRAY3, 0
    yield "P6", b"P6\n#\n64\n48\n255\n" + RGB.tobytes(), RGB, 0
    yield "P5 of 16 bits", b"P5\n64 48\n65535\n" + wide(GRAY).astype(">u2").tobytes(), GRAY3, 0
    yield "P6 of 16 bits", b"P6\n64 48\n65535\n" + wide(RGB).astype(">u2").tobytes(), RGB, 1
    yield "P3 of 16 bits", b"P3\n64 48\n65535\n" + text(wide(RGB)), RGB, 1
    tenth = (GRAY.astype(np.uint32) * 1023 // 255).astype(">u2")
    yield "P5 of 10 bits", b"P5\n64 48\n1023\n" + tenth.tobytes(), GRAY3, 1
    yield "P5 up to 100", b"P5\n64 48\n100\n" + (GRAY // 3).tobytes(), np.rint(GRAY3 // 3 * 2.55), 1
    for name, data, expected, _ in (
        ("QOI", save(RGB, "QOI"), RGB, 0),
        ("QOI, alpha", save(RGBA, "QOI"), on_white(RGBA), 0),
    ):
        yield name, data, expected, 0


def tiffs() -> Files:
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile, which comes with scikit-image")

    def tiff(picture: NDArray[Any], photometric: str, **options: Any) -> bytes:
        file = io.BytesIO()
        tifffile.imwrite(file, picture, photometric=photometric, **options)
        return file.getvalue()

    rows = (
        ("rgb", RGB, "rgb", {}, RGB),
        ("rgb of 16 bits", wide(RGB), "rgb", {}, RGB),
        ("gray", GRAY, "minisblack", {}, GRAY3),
        ("gray of 16 bits", wide(GRAY), "minisblack", {}, GRAY3),
        ("white is zero", 255 - GRAY, "miniswhite", {}, GRAY3),
        ("white is zero, 16 bits", 65535 - wide(GRAY), "miniswhite", {}, GRAY3),
        ("planes", RGB.transpose(2, 0, 1).copy(), "rgb", {"planarconfig": "separate"}, RGB),
        ("planes of 16 bits", wide(RGB).transpose(2, 0, 1).copy(), "rgb", {"planarconfig": "separate"}, RGB),
        ("alpha", RGBA, "rgb", {"extrasamples": ["unassalpha"]}, on_white(RGBA)),
        ("alpha of 16 bits", wide(RGBA), "rgb", {"extrasamples": ["unassalpha"]}, on_white(RGBA)),
        ("gray and alpha", GRAYA, "minisblack", {"extrasamples": ["unassalpha"]}, on_white(GRAYA)),
        ("unnamed fourth", RGBA, "rgb", {"extrasamples": ["unspecified"]}, RGB),
        ("two levels", GRAY > 100, "minisblack", {}, np.where(GRAY3 > 100, 255, 0)),
        ("floats", RGB.astype(np.float32) / 255, "rgb", {}, RGB),
        ("half floats", (RGB / 255).astype(np.float16), "rgb", {}, RGB),
        ("signed", GRAY.astype(np.int16), "minisblack", {}, GRAY3),
        ("32 bits", GRAY.astype(np.uint32) << 24, "minisblack", {}, GRAY3),
    )
    for (name, picture, kind, layout, shown), order, compression, tile in product(
        rows, "<>", (None, "zlib", "lzma"), (None, (16, 16))
    ):
        for predictor in (False, True) if compression and picture.dtype.kind in "u" else (False,):
            options = {"byteorder": order, "compression": compression, "tile": tile, "predictor": predictor}
            yield f"{name} {options}", tiff(picture, kind, **options, **layout), shown, 0
    faded = np.rint(RGB * (ALPHA[..., None] / 255.0)).astype(np.uint8)
    yield "premultiplied", tiff(np.dstack([faded, ALPHA]), "rgb", extrasamples=["assocalpha"]), on_white(RGBA), 2
    colours = np.random.default_rng(0).integers(0, 65536, (3, 256), np.uint16)
    yield "palette", tiff(GRAY, "palette", colormap=colours), (colours[:, GRAY] >> 8).transpose(1, 2, 0), 0
    yield "offsets of 64 bits", tiff(RGB, "rgb", bigtiff=True), RGB, 0
    yield "short strips", tiff(RGB, "rgb", rowsperstrip=5), RGB, 0
    for compression, mode in product(
        ("tiff_lzw", "packbits", "jpeg", "group3", "group4", "zstd"), ("1", "L", "RGB", "CMYK")
    ):
        try:
            data = save(Image.fromarray(RGB).convert(mode), "TIFF", compression=compression)
        except OSError:
            continue  # this compression does not hold this mode
        yield f"{mode} {compression}", data, np.asarray(Image.fromarray(RGB).convert(mode).convert("RGB")), 4


ALL = [jpegs, pngs, turned_pngs, bmps, webps_and_gifs, jpeg2000s, avifs, pnms, tiffs]
REFUSED = {  # never read, whatever the compression; and what Pillow has no decoder for
    tiffs: (
        "floats",
        "half floats",
        "signed",
        "32 bits",
        "planes of 16 bits {'byteorder': '<', 'compression': None",
        "planes of 16 bits {'byteorder': '>', 'compression': None",
        "white is zero, 16 bits {'byteorder': '>'",
    ),
}


@pytest.mark.parametrize("files", ALL)
def test_a_picture_is_what_another_reader_sees(files: Any, capfd: pytest.CaptureFixture[str]) -> None:
    wrong, met = [], 0
    for name, data, shown, allowed in files():
        met += 1
        try:
            found = decode(data).image
        except DecodeFailure as failure:
            if not name.startswith(REFUSED.get(files, ("never",))):
                wrong.append(f"{name}: {failure}")
            continue
        if name.startswith(REFUSED.get(files, ("never",))):
            wrong.append(f"{name}: read")
        elif found.shape != shown.shape:
            wrong.append(f"{name}: {found.shape} for {shown.shape}")
        elif (off := np.abs(found.astype(int) - shown).max()) > allowed:
            wrong.append(f"{name}: off by {off}")
    capfd.readouterr()  # what libtiff says of the files it is asked to write
    assert met > 5
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("format", ["AVIF", "JPEG2000", "QOI", "PPM"])
def test_every_cut_of_a_new_format_is_a_failure(format: str) -> None:
    data = save(RGB, format)
    for size in [*range(1, len(data), max(1, len(data) // 60)), len(data) - 1]:
        if format == "QOI" and size > len(data) - 9:
            continue  # its end mark is no picture
        with pytest.raises(DecodeFailure):
            decode(data[:size])


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        (
            "AVIF sequence",
            save(Image.fromarray(RGB), "AVIF", save_all=True, append_images=[Image.fromarray(255 - RGB)]),
            reasons.ANIMATED,
        ),
        ("two PNM pictures", save(RGB, "PPM") * 2, reasons.ANIMATED),
        ("bare code stream of four", save(RGBA, "JPEG2000", no_jp2=True), reasons.UNSUPPORTED),
        ("four bands", save(RGBA, "JPEG2000").replace(b"cdef", b"free"), reasons.UNSUPPORTED),
        ("camera raw", save(RGB, "TIFF", tiffinfo={254: 1}), reasons.UNSUPPORTED),
        ("PFM", b"PF\n64 48\n-1.0\n" + RGB.astype("<f4").tobytes(), reasons.UNSUPPORTED),
        ("JPEG XL", b"\xff\x0a" + bytes(64), reasons.UNSUPPORTED),
        ("text like a PNM", b"P1 is the first of our three plans", reasons.NOT_AN_IMAGE),
        (
            "a JPEG inside the header of another",
            save(RGB, "JPEG")[:2] * 2 + save(RGB, "JPEG")[2:],
            reasons.DECODER_ERROR,
        ),
        ("a large PNM", b"P6\n50000 50000\n255\n" + bytes(100), reasons.TOO_LARGE),
        (
            "a large JPEG 2000",
            save(RGB, "JPEG2000").replace(struct.pack(">II", 64, 48), struct.pack(">II", 1 << 20, 1 << 20)),
            reasons.TOO_LARGE,
        ),
        (
            "a large AVIF",
            save(RGB, "AVIF").replace(struct.pack(">II", 64, 48), struct.pack(">II", 1 << 20, 1 << 20)),
            reasons.TOO_LARGE,
        ),
        ("a large QOI", b"qoif" + struct.pack(">IIBB", 1 << 20, 1 << 20, 3, 0), reasons.TOO_LARGE),
    ],
)
def test_what_is_refused_by_name(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(DecodeFailure) as caught:
        decode(data)
    assert caught.value.reason == reason, f"{name}: {caught.value}"
