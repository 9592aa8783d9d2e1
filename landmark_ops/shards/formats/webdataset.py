"""WebDataset: tars at any depth, or one."""

from __future__ import annotations

from collections import Counter

from landmark_ops.errors import InputError
from landmark_ops.shards.format import SHARD_FORMATS, Listing, ShardFormat, ShardOptions
from landmark_ops.shards.member import Selection, is_hidden, say_passed, suffix_of
from landmark_ops.shards.own_output import without_own
from landmark_ops.shards.webdataset import SUFFIXES, tar_shards
from landmark_ops.stores import locations


class WebDatasetFormat(ShardFormat):
    """Tars, plain or compressed."""

    name = "webdataset"
    title = "tars"
    order = 20
    suffixes = SUFFIXES[:3]
    options = ("glob",)

    def takes(self, name: str) -> bool:
        """By its suffix."""
        return name.lower().endswith(SUFFIXES)

    def list_shards(self, uri: str, options: ShardOptions) -> Listing:
        """A shard per tar.

        Raises InputError where there are no tars.
        """
        passed: Counter[str] = Counter()
        if locations.is_file(uri):
            listed = [locations.stat(uri)._replace(key="")]
        else:
            there = without_own((item.key, item) for item in locations.list_objects(uri))
            listed = [item for item in there if self.takes(item.key) and not is_hidden(item.key)]
            passed = Counter(suffix_of(item.key) for item in there)
            passed -= Counter(suffix_of(item.key) for item in listed)
        if not listed:
            raise InputError(
                f"{uri}: holds no tars (looked for *{', *'.join(SUFFIXES)} at any depth; there: "
                f"{say_passed(passed) or 'nothing'})"
            )
        return Listing(tar_shards(uri, listed, Selection(options.glob), options.limits), passed)


SHARD_FORMATS.register(WebDatasetFormat())
