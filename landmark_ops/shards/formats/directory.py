"""A folder of image files, at any depth, or one such file."""

from __future__ import annotations

from collections import Counter

from landmark_ops.errors import InputError
from landmark_ops.shards.folder import default_buckets, folder_shards
from landmark_ops.shards.format import SHARD_FORMATS, Listing, ShardFormat, ShardOptions
from landmark_ops.shards.member import IMAGE_SUFFIXES, Selection, is_image, say_passed, suffix_of
from landmark_ops.shards.own_output import without_own
from landmark_ops.shards.tree import list_tree
from landmark_ops.stores import locations


class DirectoryFormat(ShardFormat):
    """Files that are images by their names, or by a glob."""

    name = "directory"
    title = "images"
    order = 10
    suffixes = IMAGE_SUFFIXES[:5]
    options = ("glob", "buckets")

    def takes(self, name: str) -> bool:
        """By its suffix."""
        return is_image(name)

    def list_shards(self, uri: str, options: ShardOptions) -> Listing:
        """Buckets of files; a folder that has lost its images has none where its buckets are on record.

        Raises InputError where there are no images and no buckets on record.
        """
        listed = list(list_tree(uri))
        root = uri
        if listed and listed[0].name == "":
            root, name = locations.parent_and_name(uri)
            listed = [listed[0]._replace(name=name)]
        listed = without_own((file.name, file) for file in listed)
        selection = Selection(options.glob)
        shards = folder_shards(root, listed, selection, options.buckets, options.limits)
        passed = Counter(suffix_of(file.name) for file in listed if file.name not in selection)
        if not shards and options.buckets is None:
            wanted = f"files matching {options.glob!r}" if options.glob else "files with an image suffix"
            there = f" ({say_passed(passed)})" if passed else ""
            raise InputError(
                f"{uri}: holds no {wanted} among {len(listed)} files{there}: name another folder or source.glob"
            )
        return Listing(shards, passed, options.buckets or default_buckets(sum(len(shard.files) for shard in shards)))


SHARD_FORMATS.register(DirectoryFormat())
