"""Which versions of a Delta table can still be read, for those who ask for one that cannot.

Logs are cleaned, and VACUUM deletes the files of old versions while the log goes on naming them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from landmark_ops.errors import InputError, Word
from landmark_ops.stores import locations
from landmark_ops.stores.delta_log import LOG

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\..*(parquet|json)")


def check_in_log(uri: str, version: int) -> None:
    """`InputError` naming the oldest and the newest version where the table's log does not tell of this one."""
    known = versions_in_log(uri)
    if known and version not in known:
        raise InputError(
            f"{uri}: version {version} of the Delta table is not in its log, whose oldest version is {known[0]} and "
            f"newest {known[-1]}: set {Word.VERSION} to one that is there, or leave it out for the newest"
        )


def versions_in_log(uri: str) -> list[int]:
    """Versions that the log tells of: those with a checkpoint, and the commits that follow one, or the first."""
    names = [child.name for child in locations.children(locations.join(uri, LOG))]
    commits = {int(found[1]) for name in names if (found := _COMMIT.fullmatch(name))}
    known = {int(found[1]) for name in names if (found := _CHECKPOINT.fullmatch(name))}
    for version in sorted(commits):
        if version == 0 or version - 1 in known:
            known.add(version)
    return sorted(known)


def check_whole(uri: str, version: int, files_of: Callable[[int], Sequence[str]]) -> None:
    """`InputError` where files of a version are gone, naming versions whose files are there. One listing.

    `files_of` gives the addresses of the files of a version.
    """
    there = {locations.join(uri, item.key) for item in locations.list_objects(uri)}
    files = files_of(version)
    gone = len(set(files) - there)
    if not gone:
        return
    later = [known for known in versions_in_log(uri) if known > version]
    whole = _first_whole(later, lambda other: there.issuperset(files_of(other)))
    if whole is None:
        remedy = f"the newest version, {later[-1] if later else version}, is not whole either: restore the files"
    else:
        found = f"version {whole}" if whole == later[-1] else f"versions {whole} and {later[-1]}"
        remedy = f"found whole: {found}, the newest: set {Word.VERSION} to one that is whole, or restore the files"
    raise InputError(
        f"{uri}: {gone} of the {len(files)} files of version {version} of the Delta table are gone, as VACUUM deletes "
        f"those of old versions; {remedy}"
    )


def _first_whole(versions: Sequence[int], is_whole: Callable[[int], bool]) -> int | None:
    """The oldest whole version found by halving; None where the newest is not whole."""
    if not versions or not is_whole(versions[-1]):
        return None
    low, high = 0, len(versions) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_whole(versions[middle]) else (middle + 1, high)
    return versions[high]
