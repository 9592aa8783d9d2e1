"""The tables that runs have left: which generation is the latest, its images and instances, what is on record."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from landmark_ops.errors import InputError
from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.stores import locations
from landmark_ops.stores.locations import join
from landmark_ops.stores.tables.format import format_of
from landmark_ops.stores.tables.ledger import GENERATION, LEDGER
from landmark_ops.stores.tables.sample import rows_of, sample_images
from landmark_ops.stores.tables.staged import PRIVATE
from landmark_ops.stores.tables.tables import TableSet

SEED = 0
SHOWN = 3  # unknown ids in a message

Row = dict[str, Any]


def open_tables(uri: str) -> TableSet:
    """The tables of a run at `uri`, of whichever format. InputError where there are none."""
    address = locations.normalise(uri)
    with locations.opening(address):
        form = format_of(join(address, "images"))
        if form is not None and locations.is_folder(join(address, LEDGER)):
            return TableSet(address, SCHEMAS, form.name)
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


def recorded(tables: str, name: str, key: str) -> Any:
    """What the run put on record, None where it did not."""
    try:
        return json.loads(locations.read_bytes(join(tables, PRIVATE, f"{name}.json")))["value"][key]
    except (FileNotFoundError, ValueError, KeyError):
        return None
