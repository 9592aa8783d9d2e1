"""The formats that images are stored in: what each is called, how it is recognised, its options and its shards.

Each is one file of `formats/`, which imports the libraries it needs no sooner than something is opened with them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from landmark_ops.registry import Registry
from landmark_ops.shards.boxes import BoxLayout
from landmark_ops.shards.member import Limits, Shard
from landmark_ops.stores.sources.format import Place

OPTIONS = ("glob", "buckets", "column", "id_column", "boxes_column", "paths", "version")
"""Those of `ShardOptions` that not every format takes."""


class ShardOptions(NamedTuple):
    """Options of a source.

    glob: which names are images. buckets: of a folder, as at the first run. column: of the encoded images, or the array
    in a Zarr group. id_column, boxes_column: as named. box_layout, box_relative: see shards/boxes.py. paths: the folder
    that paths in the images' column lead from, where it is not that of the source. version: of a Delta table, its
    latest if None.
    """

    glob: str | None = None
    buckets: int | None = None
    column: str | None = None
    id_column: str | None = None
    boxes_column: str | None = None
    box_layout: BoxLayout | None = None
    box_relative: bool = False
    paths: str | None = None
    version: int | None = None
    limits: Limits = Limits()

    def said(self) -> dict[str, Any]:
        """The options of columns, to open the source in the same way again."""
        names = ("column", "id_column", "boxes_column", "box_layout", "box_relative", "paths")
        return {name: getattr(self, name) for name in names}


class Listing(NamedTuple):
    """The shards that a format finds at an address.

    passed: files beside the images or shards, counted by suffix. buckets: of a folder, to be kept for later runs; else
    None.
    """

    shards: Sequence[Shard]
    passed: Counter[str]
    buckets: int | None = None


class ShardFormat(ABC):
    """One format.

    Attributes
    ----------
    name, title
        What configs call it, and what messages look for.
    order
        Messages and the configs' schema name formats in this order, and places are asked for their marks in it.
    suffixes
        Names of files that are given as examples of it, by their ends; none where it is always a folder.
    options
        Those of `OPTIONS` that it takes.
    configurable
        Whether configs may name it. Otherwise it is always recognised by its marks.
    rows_move
        Whether rows may move from shard to shard between two runs, as where a table is compacted.
    """

    name: str
    title: str
    order: int
    suffixes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    configurable: bool = True
    rows_move: bool = False

    def marks(self, place: Place) -> bool:
        """Whether a folder is of this format by an object of its own, which is asked for by name."""
        return False

    def takes(self, name: str) -> bool:
        """Whether a file is of this format, by its name alone; a folder is that of the files below it."""
        return False

    @abstractmethod
    def list_shards(self, uri: str, options: ShardOptions) -> Listing:
        """The shards at a normalised address, in a fixed order; nothing but listings and footers is read.

        Raises `InputError` where there are none, or an option does not fit.
        """


SHARD_FORMATS: Registry[ShardFormat] = Registry("shard format", "landmark_ops.shards.formats")


def in_order() -> list[ShardFormat]:
    """All formats, in their order."""
    return sorted(SHARD_FORMATS, key=lambda one: one.order)


def config_formats() -> list[str]:
    """The valid values of `source.format` in a config."""
    return ["auto", *(one.name for one in in_order() if one.configurable)]
