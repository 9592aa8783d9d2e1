r"""Common to all kinds of shard: members, their names, the reasons why one may be no image, and limits.

A shard is a stable unit of work, a pickle of a few hundred bytes, that yields its images one by one. A fault of a
member is recorded in the member itself, as a reason code and a detail, and never raised: a run counts it and goes on.
An error is raised where the whole shard is unreadable now but perhaps not later: a network that fails, expired
credentials (`RunError`); those must not be recorded as if the images were bad.

Names are opaque keys. They are compared as they are stored, without Unicode normalisation, and nothing is ever written
under them. A name that is not UTF-8 is kept without loss: its odd bytes become `\xNN`, a backslash becomes two.
"""

from __future__ import annotations

import abc
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

EMPTY = "empty"
TOO_LARGE = "too_large"
NOT_A_FILE = "not_a_file"
UNSAFE_NAME = "unsafe_name"
DUPLICATE = "duplicate_member"
UNREADABLE = "unreadable"
TRUNCATED_SHARD = "truncated_shard"
DAMAGED_SHARD = "damaged_shard"
SHARD_TOO_LARGE = "shard_too_large"
MISSING_CHUNK = "missing_chunk"
BAD_BOXES = "bad_boxes"

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib"),
    *(".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".qoi", ".avif", ".avifs"),
    *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".jxl", ".heic", ".heif", ".hif"),
)
"""What counts as an image without a glob; kinds that no decoder here knows count too, and fail by name."""

#: Such a suffix, and what services add to it: photo.jpg_large, photo.jpg:orig, photo.jpg?w=200, but not photo.jpg.json.
_IMAGE = re.compile(rf"(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})(?:[_:?!@&=%][^./]*)?", re.IGNORECASE)
_SUFFIX = re.compile(r"\.[a-z0-9_]{1,12}")
SHOWN_SUFFIXES = 8


class Limits(NamedTuple):
    """Limits that keep a shard from filling memory.

    member_bytes: a larger member is a failure. expansion: how many times its stored size a compressed shard may grow,
    beyond `floor_bytes` which any may have. members: images in one shard.
    """

    member_bytes: int = 256 * 2**20
    expansion: int = 100
    floor_bytes: int = 256 * 2**20
    members: int = 10_000_000


DEFAULT_LIMITS = Limits()


class Member(NamedTuple):
    """One image of a shard: `data`, the stored bytes, or `image`, (H, W, 3) uint8 RGB; or `failure`, and neither.

    member: its name within the shard, "" for a failure of the shard itself. boxes: (n, 4) float64 x0, y0, x1, y1 in
    pixels where a column of boxes was named. image_id: unique and the same in every run, see each kind of shard.
    """

    shard: str
    member: str
    data: bytes | None = None
    image: NDArray[np.uint8] | None = None
    boxes: NDArray[np.float64] | None = None
    failure: tuple[str, str] | None = None
    image_id: str = ""


class OnRecord(NamedTuple):
    """What is on record of a shard: its version when its rows were last committed, and when, in seconds since 1970."""

    version: str
    committed: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Shard(abc.ABC):
    """A unit of work.

    id: unique within the source and the same in every run. version: changes when the content may have changed.
    size: stored bytes. count: images, where that is known without reading.
    """

    id: str
    size: int
    version: str
    count: int | None = None
    limits: Limits = DEFAULT_LIMITS

    @property
    def reads(self) -> dict[str, Any]:
        """The part of the source that is read, where a file has several: values that JSON can hold."""
        return {}

    def only_grew(self, recorded: str) -> bool:
        """Whether members on record of this shard, at version `recorded`, can be recognised by name alone."""
        return True

    def is_done(self, recorded: OnRecord) -> bool:
        """Whether nothing has come or changed since it was put on record."""
        return self.version == recorded.version

    def written_since(self, recorded: OnRecord) -> frozenset[str]:
        """The names of a shard that only grew under which there may be another picture than the one on record."""
        return frozenset()

    @abc.abstractmethod
    def members(self, skip: Container[str] = (), passed: Counter[str] | None = None) -> Iterator[Member]:
        """The images, and the failures, one by one; those named in `skip` are left out unread.

        `passed` collects files in the shard that are no images, counted by suffix.
        """

    def failed(self, member: str, reason: str, detail: str, image_id: str | None = None) -> Member:
        """A member that is no image, and why."""
        name = f"{self.id}/{member}" if image_id is None else image_id
        return Member(self.id, member, failure=(reason, detail), image_id=name)

    def size_failure(self, size: int) -> tuple[str, str] | None:
        """The failure that lies in a member's size alone."""
        if size == 0:
            return EMPTY, "0 bytes"
        if size > self.limits.member_bytes:
            return TOO_LARGE, f"{size} bytes, the limit is {self.limits.member_bytes}"
        return None


def readable(name: str) -> str:
    """A file's name as valid Unicode, different names staying different: see the module."""
    if "\\" not in name and name.isascii():
        return name
    escaped = name.replace("\\", "\\\\")
    return "".join(f"\\x{ord(c) - 0xDC00:02x}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in escaped)


def is_unsafe(name: str) -> bool:
    """Whether a name would, if ever used as a path, lead out of the folder it is used in."""
    parts = re.split(r"[/\\]", name)
    return name.startswith(("/", "\\")) or ".." in parts or "\0" in name or bool(re.match(r"[A-Za-z]:", name))


def is_image(name: str) -> bool:
    """Whether a name is that of an image by its suffix."""
    last = name.rpartition("/")[2]
    return any(_IMAGE.fullmatch(last, at) for at, sign in enumerate(last) if sign == ".")


def is_hidden(name: str) -> bool:
    """Whether a name, or a folder that leads to it, begins with a dot."""
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))


def suffix_of(name: str) -> str:
    """The suffix under which a file that is passed over is counted."""
    last = name.rpartition("/")[2].lower()
    dot = last.rfind(".")
    if is_hidden(name):
        return "hidden"
    return last[dot:] if dot > 0 and _SUFFIX.fullmatch(last, dot) else "without a suffix"


def say_passed(passed: Mapping[str, int]) -> str:
    """Counts of files by suffix, the most frequent first: ".mp4 3, hidden 1"."""
    order = sorted(passed.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in order[SHOWN_SUFFIXES:])
    shown = [f"{suffix} {count:,}" for suffix, count in order[:SHOWN_SUFFIXES]]
    return ", ".join(shown + [f"others {rest:,}"] * bool(rest))


class Selection(NamedTuple):
    """Which names are images: those with an image suffix, or those that match `glob`.

    `*` and `?` stop at a slash, `**/` stands for any folders; a glob without a slash is matched with the last part of
    the name. Hidden files and folders are taken only by a glob.
    """

    glob: str | None = None

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        text = name.removeprefix("./")
        if self.glob is None:
            return not is_hidden(text) and is_image(text)
        if "/" not in self.glob:
            text = text.rpartition("/")[2]
        return bool(_pattern(self.glob).fullmatch(text))


def _pattern(glob: str) -> re.Pattern[str]:
    tokens: dict[str, str] = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", glob)
    return re.compile("".join(_token(part, tokens) for part in parts), re.DOTALL)


def _token(part: str, tokens: dict[str, str]) -> str:
    if part.startswith("[") and part.endswith("]") and len(part) > 2:
        inner = part[1:-1].replace("\\", r"\\")
        return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return tokens.get(part, re.escape(part))
