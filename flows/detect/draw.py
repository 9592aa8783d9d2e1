"""`landmarks draw`: pictures of what a detection run found, drawn from its tables over the images in their shards.

The images are read again from the source on record, so nothing but tables need be kept. Imports nothing of Prefect.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from flows.detect.earlier import digest_of
from flows.detect.own_sets import set_of_rows
from landmark_ops.errors import InputError
from landmark_ops.images.decode import MAX_PIXELS, Decoded
from landmark_ops.images.encode import to_jpeg
from landmark_ops.images.isolated import decode_safely
from landmark_ops.images.reasons import DecodeFailure
from landmark_ops.images.resample import resize
from landmark_ops.keypoints.drawing import Drawn, overlay, sheet
from landmark_ops.keypoints.landmark_sets import LandmarkSet
from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.shards.format import SHARD_FORMATS, ShardOptions
from landmark_ops.shards.member import Member
from landmark_ops.shards.source import format_at, open_shards
from landmark_ops.stores import locations
from landmark_ops.stores.locations import join
from landmark_ops.stores.tables.table_reads import rows_of, sample_images
from landmark_ops.stores.tables.tables import GENERATION, LEDGER, PRIVATE, TableSet

SEED = 0
SIDE = 1200  # pixels of an overlay's longer side
CELL = 320  # of the sheet
SHEET = "sheet.jpg"
SHOWN = 3  # unknown ids in a message

Row = dict[str, Any]


class Place(NamedTuple):
    """Where to read the images again, if not where the run read them, and what the tables do not tell of a source."""

    uri: str | None = None
    column: str | None = None
    id_column: str | None = None


class Drawings(NamedTuple):
    """What was written: addresses of the overlays, and of the sheet; and by image id why one could not be drawn."""

    overlays: list[str]
    sheet: str | None
    problems: dict[str, str]


def draw_tables(
    uri: str, out: str, *, sample: int = 24, image_ids: Sequence[str] = (), place: Place | None = None
) -> Drawings:
    """Draw images of the latest generation into folder `out`: those named, or a sample of those with instances.

    Raises InputError where `uri` holds no tables, an id is not in them, or the source is gone. An image that is not in
    the source any more, or has changed since, is told in `problems`.
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
        except InputError as error:  # rows of another set than they name: the other images are drawn
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


def open_tables(uri: str) -> TableSet:
    """The tables of a run at `uri`, of whichever format. InputError where there are none."""
    address = locations.normalise(uri)
    with locations.opening(address):
        if locations.is_folder(join(address, "images", "_delta_log")):
            return TableSet(address, SCHEMAS, "delta")
        if locations.is_folder(join(address, "images")) and locations.is_folder(join(address, LEDGER)):
            return TableSet(address, SCHEMAS, "parquet")
    raise InputError(
        f"{address}: holds no tables of a detection run: name the output.uri of `landmarks detect`, the folder that "
        "holds keypoints and images"
    )


def latest_generation(tables: TableSet) -> str:
    """The config hash of what was committed last. InputError where no shard is complete."""
    ledger = tables.dataset(LEDGER).to_table(columns=[GENERATION, "committed_at"])
    if ledger.num_rows == 0:
        raise InputError(f"{tables.uri}: no shard is complete yet: run `landmarks detect` to its end first")
    return str(ledger.sort_by([("committed_at", "descending")]).column(GENERATION)[0].as_py())


def chosen_images(tables: TableSet, generation: str, sample: int, image_ids: Sequence[str]) -> list[Row]:
    """Rows of `images`: those named, in that order, or a random sample that is the same at every call."""
    if not image_ids:
        found = sample_images(tables, generation, sample, generator(SEED, Stream.DRAWN_IMAGES)).to_pylist()
        if not found:
            raise InputError(
                f"{tables.uri}: the run found nothing in any image: name images with --image-id to see them"
            )
        return sorted(found, key=lambda row: str(row["image_id"]))
    wanted = list(dict.fromkeys(image_ids))
    chosen = (pc.field(GENERATION) == generation) & pc.field("image_id").isin(wanted)
    rows = {row["image_id"]: row for row in tables.dataset("images").to_table(filter=chosen).to_pylist()}
    if unknown := [name for name in wanted if name not in rows]:
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        raise InputError(
            f"image {', '.join(unknown[:SHOWN])}{more}: not among the images of {tables.uri}: take ids from column "
            "image_id of the table images, such as "
            + ", ".join(tables.dataset("images").head(2, columns=["image_id"]).column(0).to_pylist())
        )
    if failed := [name for name in wanted if rows[name]["instances"] is None]:
        raise InputError(
            f"image {failed[0]}: could not be read by the run, so there is nothing to draw: table failures says why"
        )
    return [rows[name] for name in wanted]


def instances_of(tables: TableSet, generation: str, image_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The rows of `keypoints` by image, instances in order; an image without any has an empty list."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of(tables, generation, image_ids).to_pylist():
        found[row["image_id"]].append(row)
    return found


def members_of(tables: str, images: Sequence[Row], place: Place) -> Iterator[tuple[Row, Member]]:
    """The images as the shards hold them now; those that are gone are left out. Reads no others."""
    wanted: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in images:
        wanted[row["shard"]][row["image_id"]] = row
    uri = place.uri or recorded(tables, "source", "uri")
    if uri is None:
        raise InputError(f"{tables}: does not say where its images came from: name the place with --source")
    buckets = recorded(tables, "folder", "buckets")
    said = recorded(tables, f"reads/{images[0]['config_hash']}", "options") if images else None
    options = ShardOptions(**(said or {}))._replace(buckets=buckets)
    if place.column or place.id_column:
        options = options._replace(column=place.column, id_column=place.id_column)
    with locations.opening(locations.normalise(uri)):
        kind = SHARD_FORMATS["directory"] if buckets else format_at(locations.normalise(uri))
    if "glob" in kind.options:
        options = options._replace(glob="*")  # whatever names the run took for images
    for shard in open_shards(uri, kind.name, options).shards:
        if rows := wanted.pop(shard.id, None):
            members = shard.members(skip=AllBut({row["member"] for row in rows.values()}))
            for member in members:
                if member.image_id in rows:  # rows of a table without an id have names that an id may have too
                    yield rows.pop(member.image_id), member
                if not rows:
                    break


class AllBut:
    """A container of everything but a few."""

    def __init__(self, few: Collection[str]) -> None:
        self.few = few

    def __contains__(self, name: object) -> bool:
        return name not in self.few


def recorded(tables: str, name: str, key: str) -> Any:
    """What the run put on record, None where it did not."""
    try:
        return json.loads(locations.read_bytes(join(tables, PRIVATE, f"{name}.json")))["value"][key]
    except (FileNotFoundError, ValueError, KeyError):
        return None


class Changed(Exception):
    """Another picture stands where the run found the one it tells of."""


def decoded(member: Member, row: Row) -> Decoded:
    """The picture of a member, decoded no larger than is needed, however many pixels the run's config allowed.

    Raises DecodeFailure, and Changed where `row` tells of another picture.
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
    """The picture with the instances of some rows over it, points alone where nobody knows their set."""
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
