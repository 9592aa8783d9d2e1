"""`landmarks draw`: pictures of what a detection run found, drawn from its tables over the images in their shards.

The images are read again from the source on record, so nothing but tables need be kept. Imports nothing of Prefect.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.detect.earlier import digest_of
from flows.detect.own_sets import set_of_rows
from flows.detect.run_tables import Row, chosen_images, instances_of, latest_generation, open_tables
from flows.detect.stored_members import Place, members_of
from landmark_ops.errors import InputError
from landmark_ops.images.decode import MAX_PIXELS, Decoded
from landmark_ops.images.encode import to_jpeg
from landmark_ops.images.isolated import decode_safely
from landmark_ops.images.reasons import DecodeFailure
from landmark_ops.images.resample import resize
from landmark_ops.keypoints.drawing import Drawn, overlay, sheet
from landmark_ops.keypoints.landmark_sets import LandmarkSet
from landmark_ops.shards.member import Member
from landmark_ops.stores import locations
from landmark_ops.stores.locations import join

SIDE = 1200  # pixels of an overlay's longer side
CELL = 320  # of the sheet
SHEET = "sheet.jpg"


class Drawings(NamedTuple):
    """Addresses of the overlays and the sheet that were written; `problems`: by image id, why it could not be drawn."""

    overlays: list[str]
    sheet: str | None
    problems: dict[str, str]


def draw_tables(
    uri: str, out: str, *, sample: int = 24, image_ids: Sequence[str] = (), place: Place | None = None
) -> Drawings:
    """Draw images of the latest generation into folder `out`: those named, or a sample of those with instances.

    Raises InputError where `uri` holds no tables, an id is not in them, or the source is gone. An image that is not in
    the source any more, or has changed since, is listed in `problems`.
    """
    tables = open_tables(uri)
    generation = latest_generation(tables)
    images = chosen_images(tables, generation, sample, image_ids)
    instances = instances_of(tables, generation, [row["image_id"] for row in images])
    problems = {row["image_id"]: "not in the source any more" for row in images}
    folder = locations.normalise(out)
    written: dict[str, str] = {}
    small: dict[str, NDArray[np.uint8]] = {}
    for row, member in members_of(tables.uri, images, place or Place()):
        image_id = row["image_id"]
        try:
            picture = decoded(member, row)
        except DecodeFailure as failure:
            problems[image_id] = f"cannot be read any more: {failure}"
            continue
        except Changed:
            problems[image_id] = "has changed since the run: its sha256 is another than in column image_sha256"
            continue
        try:
            drawn = drawn_over(tables.uri, picture, instances[image_id])
        except InputError as error:  # rows of another set than they name; other images go on
            problems[image_id] = f"cannot be drawn: {error}"
            continue
        written[image_id] = join(folder, file_name(image_id))
        locations.write_bytes(written[image_id], to_jpeg(drawn, SIDE))
        small[image_id] = thumbnail(drawn)
        del problems[image_id]
    order = [row["image_id"] for row in images if row["image_id"] in written]
    if not order:
        return Drawings([], None, problems)
    page = sheet([small[name] for name in order], order, columns=columns(len(order)), cell=(CELL, CELL))
    locations.write_bytes(join(folder, SHEET), to_jpeg(page, max(page.shape)))
    return Drawings([written[name] for name in order], join(folder, SHEET), problems)


class Changed(Exception):
    """The picture in the source is not the one that the run detected in."""


def decoded(member: Member, row: Row) -> Decoded:
    """The picture of a member, decoded no larger than is needed, however many pixels the run's config allowed.

    Raises DecodeFailure, and Changed where `row` is of another picture.
    """
    if member.failure is not None:
        raise DecodeFailure(*member.failure)
    if digest_of(member) != row["image_sha256"]:
        raise Changed
    if member.image is not None:
        height, width = member.image.shape[:2]
        return Decoded(member.image, width, height, 1.0)
    pixels = max(MAX_PIXELS, row["width"] * row["height"])
    return decode_safely(member.data or b"", max_pixels=pixels, min_side=SIDE)


def drawn_over(tables: str, picture: Decoded, rows: Sequence[Row]) -> NDArray[np.uint8]:
    """The picture with the instances of some rows over it, points alone where their set is unknown."""
    points: LandmarkSet | None = None
    drawn = []
    for row in rows:
        if row["landmark_set"] and row["keypoints"]:
            points = set_of_rows(tables, row["landmark_set"])
        keypoints = np.array([[point["x"], point["y"]] for point in row["keypoints"]], np.float64).reshape(-1, 2)
        visible = np.array([point["visible"] for point in row["keypoints"]], np.float64)
        box = np.array([row["box"][side] for side in ("x0", "y0", "x1", "y1")], np.float64)
        drawn.append(Drawn(keypoints, box, visible, "" if row["score"] is None else f"{row['score']:.2f}"))
    return overlay(picture.image, drawn, points, scale=picture.scale)


def file_name(image_id: str) -> str:
    """A name that is safe in any folder and different for different images: no part of an id is trusted as a path."""
    readable = re.sub(r"[^A-Za-z0-9-]+", "_", image_id).strip("_-")[-60:] or "image"
    return f"{readable}-{hashlib.sha256(image_id.encode()).hexdigest()[:8]}.jpg"


def thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture as large as a cell of the sheet shows it."""
    height, width = picture.shape[:2]
    shrink = min(1.0, CELL / max(height, width))
    return resize(picture, max(1, round(width * shrink)), max(1, round(height * shrink)))


def columns(count: int) -> int:
    """Columns of a sheet of so many pictures: four, or as many as keep it about square."""
    return max(4, round(count**0.5))
