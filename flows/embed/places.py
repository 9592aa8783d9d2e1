"""Addresses of sources and outputs: as workers see them, apart from each other, and writable."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.errors import InputError
from landmark_ops.stores.locations import is_remote, normalise


def address(uri: str, config: EmbedConfig) -> str:
    """`uri` as workers see it: those of a running cluster may stand in another folder, so paths become absolute."""
    if config.cluster.address is None or is_remote(uri):
        return uri
    return str(Path(normalise(uri)).absolute())


def check_apart(source: str, output: str, what: str = "source") -> None:
    """Refuse an output that is the source, or lies inside it or around it: writing one would destroy the other."""
    ours, theirs = (uri if is_remote(uri) else os.path.realpath(uri) for uri in (normalise(output), normalise(source)))
    if f"{ours}/".startswith(f"{theirs}/") or f"{theirs}/".startswith(f"{ours}/"):
        raise InputError(f"output.uri {output}: overlaps the {what} {source}: choose another place")


def check_writable(uri: str) -> None:
    """InputError where the nearest existing parent of a local output may not be written: before hours of work."""
    if is_remote(uri):
        return
    place = Path(uri).absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise InputError(f"output {uri}: {place} is a file, not a folder: choose another output.uri")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise InputError(
            f"output {uri}: cannot write in {place}: {error.strerror or error}: choose another output.uri, "
            "or permit writing there"
        ) from error
