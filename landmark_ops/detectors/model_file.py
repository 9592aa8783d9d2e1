"""The local file of a model: beside a user's spec, in the cache, on a mirror; fetched where there is none yet.

Tried in this order: the folder of a user's own spec; the cache (`LANDMARKS_MODEL_CACHE`, else landmark-ops/models
under `XDG_CACHE_HOME` or ~/.cache); `LANDMARKS_MODEL_MIRROR`, a folder or s3:// prefix laid out <model>/<file>; the
upstream address over https. A download is held in memory, at most the spec's size, until its sha256 matches; then it
appears in the cache whole. Workers that want the same file at once wait for one of them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal, NamedTuple

from landmark_ops.detectors.model_cache import cache_folder, locked, store
from landmark_ops.detectors.model_origin import MIRROR_VARIABLE, Progress, fetch, mirror_uri, wrong_hash
from landmark_ops.detectors.spec import ModelSpec
from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import locations


class Verdict(NamedTuple):
    """What `verify` found: `path` is the file that would be loaded, None where it would have to be fetched."""

    name: str
    state: Literal["ok", "absent", "wrong"]
    path: Path | None
    detail: str


def resolve(spec: ModelSpec, *, progress: Progress | None = None) -> Path:
    """The local path of a model's file, its hash verified; fetched where there is none yet.

    Raises InputError for a file whose hash is not the spec's and for a model that is not published as ONNX, RunError
    where the network fails.
    """
    cached = cache_folder() / spec.file
    for path in _places(spec):
        if path.is_file():
            if (got := _digest(path)) == spec.sha256:
                return path
            if path != cached:  # a damaged cache is fetched anew, a mirror or a user's own file is theirs to mend
                raise wrong_hash(spec.name, str(path), spec.sha256, got)
    with locked(cached.with_name(f"{cached.name}.lock")):
        if not cached.is_file() or _digest(cached) != spec.sha256:  # else another worker fetched it meanwhile
            store(cached, fetch(spec, progress))
    return cached


def read_model(spec: ModelSpec) -> bytes:
    """The bytes of a model's file, compared with the spec's sha256 after reading: what a session is made of.

    Raises InputError for other bytes than those of the spec, RunError for a file that cannot be read.
    """
    path = resolve(spec)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"model {spec.name}: {path} cannot be read: {error.strerror or error}") from error
    if (got := hashlib.sha256(data).hexdigest()) != spec.sha256:
        raise wrong_hash(spec.name, str(path), spec.sha256, got)
    return data


def verify(spec: ModelSpec) -> Verdict:
    """Whether the local file of a model is what the spec says. Fetches nothing."""
    for path in _places(spec):
        if path.is_file():
            got = _digest(path)
            if got == spec.sha256:
                return Verdict(spec.name, "ok", path, f"sha256 {got[:12]}…")
            return Verdict(spec.name, "wrong", path, f"sha256 expected {spec.sha256}, got {got}: remove the file")
    return Verdict(spec.name, "absent", None, f"no local file: landmarks models pull {spec.name}")


def is_local(spec: ModelSpec) -> bool:
    """Whether a file of the right size is there already. The hash is compared on loading."""
    return any(path.is_file() and path.stat().st_size == spec.size_bytes for path in _places(spec))


def _places(spec: ModelSpec) -> list[Path]:
    """Local paths where the file may lie, first choice first."""
    places = [Path(spec.folder) / spec.file] if spec.folder else []
    places.append(cache_folder() / spec.file)
    mirror = mirror_uri()
    if mirror and not locations.is_remote(mirror):
        if not os.path.isdir(mirror):
            raise InputError(f"{MIRROR_VARIABLE}: {mirror} is no folder: name a folder or s3:// prefix of model files")
        places.append(Path(mirror) / spec.file)
    return places


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
