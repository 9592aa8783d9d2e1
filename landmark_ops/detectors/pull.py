"""Find a model's file: beside a user's spec, in the cache, on a mirror, or upstream; nothing unverified is kept.

Tried in this order: the folder of a user's own spec; the cache (`LANDMARKS_MODEL_CACHE`, else landmark-ops/models
under `XDG_CACHE_HOME` or ~/.cache); `LANDMARKS_MODEL_MIRROR`, a folder or s3:// prefix laid out <model>/<file>; the
upstream address over https. A download is held in memory, at most the spec's size, until its sha256 matches; then it
appears in the cache whole. Workers that want the same file at once wait for one of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from landmark_ops.detectors.download import https_blocks
from landmark_ops.detectors.spec import ModelSpec, Original
from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import locations

CACHE_VARIABLE = "LANDMARKS_MODEL_CACHE"
MIRROR_VARIABLE = "LANDMARKS_MODEL_MIRROR"
BLOCK_BYTES = 2**22
MIRROR_REMEDY = f"set {MIRROR_VARIABLE} to a folder or s3:// prefix that holds"

#: Called with the model's name, bytes so far and bytes in all.
Progress = Callable[[str, int, int], None]


class Verdict(NamedTuple):
    """What `verify` found: `path` is the file that would be loaded, None where it would have to be fetched."""

    name: str
    state: Literal["ok", "absent", "wrong"]
    path: Path | None
    detail: str


def cache_folder() -> Path:
    """Where fetched models are kept."""
    if named := os.environ.get(CACHE_VARIABLE, "").strip():
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache"
    return Path(base).expanduser() / "landmark-ops" / "models"


def resolve(spec: ModelSpec, *, progress: Progress | None = None) -> Path:
    """The local path of a model's file, its hash verified; fetched where it is nowhere yet.

    Raises InputError for a file whose hash is not the spec's and for a model that nobody publishes as ONNX, RunError
    where the network fails.
    """
    cached = cache_folder() / spec.file
    for path in _places(spec):
        if path.is_file():
            if (got := _digest(path)) == spec.sha256:
                return path
            if path != cached:  # a damaged cache is fetched anew, a mirror or a user's own file is theirs to mend
                raise _wrong_hash(spec.name, str(path), spec.sha256, got)
    with _locked(cached.with_name(f"{cached.name}.lock")):
        if not cached.is_file() or _digest(cached) != spec.sha256:  # else another worker fetched it meanwhile
            _store(cached, _fetch(spec, progress))
    return cached


def read_model(spec: ModelSpec, *, progress: Progress | None = None) -> bytes:
    """The bytes of a model's file, compared with the spec's sha256 after reading: what a session is made of."""
    path = resolve(spec, progress=progress)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"model {spec.name}: {path} cannot be read: {error.strerror or error}") from error
    if (got := hashlib.sha256(data).hexdigest()) != spec.sha256:
        raise _wrong_hash(spec.name, str(path), spec.sha256, got)
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
    mirror = _mirror()
    if mirror and not locations.is_remote(mirror):
        if not os.path.isdir(mirror):
            raise InputError(f"{MIRROR_VARIABLE}: {mirror} is no folder: name a folder or s3:// prefix of model files")
        places.append(Path(mirror) / spec.file)
    return places


def _mirror() -> str:
    named = os.environ.get(MIRROR_VARIABLE, "").strip()
    return locations.normalise(named) if named else ""


def _fetch(spec: ModelSpec, progress: Progress | None) -> bytes:
    """The verified bytes from the first source that has them."""
    mirror = _mirror()
    if locations.is_remote(mirror):
        address = locations.join(mirror, spec.file)
        with locations.opening(address):
            blocks = _remote_blocks(address)
            if blocks is not None:
                return _receive(blocks, spec.name, address, spec.sha256, spec.size_bytes, progress)
    if spec.url is not None:
        return _receive_upstream(spec, Original(url=spec.url, sha256=spec.sha256, size_bytes=spec.size_bytes), progress)
    if spec.conversion is not None:
        return _convert(spec, progress)
    raise InputError(
        f"model {spec.name}: {spec.file} is neither beside its spec nor on a mirror, and the spec has no url: "
        f"put the file there, or {MIRROR_REMEDY} {spec.file}"
    )


def _convert(spec: ModelSpec, progress: Progress | None) -> bytes:
    """Fetch the originals and convert them; the result has to have the spec's own hash."""
    from landmark_ops.detectors.convert import CONVERTERS

    assert spec.conversion is not None
    converter = CONVERTERS.get(spec.conversion.format)
    if converter is None:
        raise InputError(
            f"model {spec.name}: is published as {spec.conversion.format} weights, which are not converted here: "
            f"{MIRROR_REMEDY} {spec.file}"
        )
    convert = converter()  # InputError where the extra is not installed, before anything is downloaded
    originals = [_receive_upstream(spec, original, progress) for original in spec.conversion.originals]
    data = convert(originals, spec.conversion)
    if (got := hashlib.sha256(data).hexdigest()) != spec.sha256:
        raise InputError(
            f"model {spec.name}: the converted file has sha256 {got}, expected {spec.sha256}: the converter's packages "
            f"differ from those it was checked with: reinstall the extra [convert], or {MIRROR_REMEDY} {spec.file}"
        )
    return data


def _receive_upstream(spec: ModelSpec, file: Original, progress: Progress | None) -> bytes:
    try:
        return https_blocks(
            file.url,
            lambda blocks: _receive(blocks, spec.name, file.url, file.sha256, file.size_bytes, progress),
        )
    except RunError as error:
        raise RunError(f"model {spec.name}: {error}: {MIRROR_REMEDY} {spec.file}") from error


def _remote_blocks(address: str) -> Iterator[bytes] | None:
    """The object's bytes in blocks; None where the mirror does not hold it."""
    try:
        size = locations.stat(address).size
    except FileNotFoundError:
        return None
    starts = range(0, size, BLOCK_BYTES)
    return (locations.read_bytes(address, start, min(start + BLOCK_BYTES, size)) for start in starts)


def _receive(
    blocks: Iterable[bytes], name: str, source: str, sha256: str, size: int, progress: Progress | None
) -> bytes:
    """All blocks as one, no more than `size` bytes of them. RunError where they end early."""
    data = bytearray()
    for block in blocks:
        data += block
        if len(data) > size:
            raise InputError(
                f"model {name}: {source} sends more than the {size:,} bytes of the spec: another file lies there; "
                "nothing was kept"
            )
        if progress is not None:
            progress(name, len(data), size)
    if len(data) < size:
        raise RunError(f"{source} ended after {len(data):,} of {size:,} bytes")
    if (got := hashlib.sha256(data).hexdigest()) != sha256:
        raise _wrong_hash(name, source, sha256, got)
    return bytes(data)


def _wrong_hash(name: str, source: str, expected: str, got: str) -> InputError:
    return InputError(
        f"model {name}: {source} has sha256 {got}, expected {expected}: it is not loaded: "
        "replace it by the file that the spec names, or correct the spec if the file is meant"
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _store(target: Path, data: bytes) -> None:
    """The file appears whole or not at all, also after a loss of power."""
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    with _writing(target.parent):
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the file lock at `path`. The file stays: removing it would let two holders in."""
    with _writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"the model cache {folder} cannot be written: {error.strerror or error}: "
            f"set {CACHE_VARIABLE} to a folder that can"
        ) from error
