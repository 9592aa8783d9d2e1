"""Where a model's file is fetched from: a mirror, else its publisher, as ONNX or in a format that is converted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator

from landmark_ops.detectors.converter import CONVERTERS
from landmark_ops.detectors.download import https_blocks
from landmark_ops.detectors.spec import ModelSpec, Original
from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import locations

MIRROR_VARIABLE = "LANDMARKS_MODEL_MIRROR"
BLOCK_BYTES = 2**22
MIRROR_REMEDY = f"set {MIRROR_VARIABLE} to a folder or s3:// prefix that holds"

#: Called with the model's name, bytes so far and bytes in all.
Progress = Callable[[str, int, int], None]


def mirror_uri() -> str:
    """The address of the mirror, "" where none is named."""
    named = os.environ.get(MIRROR_VARIABLE, "").strip()
    return locations.normalise(named) if named else ""


def fetch(spec: ModelSpec, progress: Progress | None) -> bytes:
    """The verified bytes of a model's file from the first place that has them, held in memory, at most the spec's size.

    Raises InputError for other bytes than the spec names and for a model that is not published as ONNX, RunError where
    the network fails.
    """
    mirror = mirror_uri()
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
    assert spec.conversion is not None
    if spec.conversion.format not in CONVERTERS:
        raise InputError(
            f"model {spec.name}: is published as {spec.conversion.format} weights, which are not converted here: "
            f"{MIRROR_REMEDY} {spec.file}"
        )
    convert = CONVERTERS[
        spec.conversion.format
    ].load()  # InputError where the extra is not installed, before anything is downloaded
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
        raise wrong_hash(name, source, sha256, got)
    return bytes(data)


def wrong_hash(name: str, source: str, expected: str, got: str) -> InputError:
    """The error for a file that is not the one of the spec."""
    return InputError(
        f"model {name}: {source} has sha256 {got}, expected {expected}: it is not loaded: "
        "replace it by the file that the spec names, or correct the spec if the file is meant"
    )
