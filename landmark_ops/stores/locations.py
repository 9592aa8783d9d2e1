"""Where things lie: local paths, s3:// and memory:// addresses behind a handful of plain functions.

Every source and output of the flow passes here, so that options are set in one place: S3 takes its keys, region and
endpoint from the standard AWS_* environment at every connection (keys are never copied into a pickle, where they
would go stale), and listings are never cached, because another process may have written in between.
fsspec and s3fs are imported on the first remote access only: they cost a tenth of a second at start-up.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, BinaryIO, NamedTuple, cast

from landmark_ops.errors import InputError
from landmark_ops.stores.faults import fault_of, is_passing, said
from landmark_ops.stores.whole_files import replace_file
from landmark_ops.wording import has_secret

REMOTE_SCHEMES = ("s3", "memory")
ATTEMPTS, ROUNDS = 4, 3  # tries of one request by botocore, and rounds of them by s3fs


class StoredObject(NamedTuple):
    """One file or object: its path relative to the listed address, bytes, and a token that changes on rewrite.

    modified: when it was last written, in seconds since 1970 by the store's clock; 0 where that is not known.
    """

    key: str
    size: int
    version: str
    modified: float = 0.0


class Child(NamedTuple):
    """One entry directly under a folder."""

    name: str
    is_folder: bool


def normalise(uri: str | os.PathLike[str]) -> str:
    """One spelling per address: `~` expanded, `file://` and trailing slashes dropped; relative paths stay relative.

    Raises `InputError` for an empty address, for schemes other than s3:// and memory://, and for an address that holds
    a user, a key or a signature: it would be stored with the output.
    """
    text = os.fspath(uri) if isinstance(uri, str | os.PathLike) else uri
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InputError(f"got {text!r} for an address: give a local path or s3://bucket/prefix")
    if "://" in text and has_secret(text):
        raise InputError(
            f"{text}: credentials inside an address are not used, since addresses are stored and printed: take them "
            "out, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    scheme, separator, rest = text.partition("://")
    if separator:
        if scheme not in REMOTE_SCHEMES:
            raise InputError(f"{text}: scheme {scheme}:// is not supported: use a local path or s3://")
        if not rest.strip("/"):
            raise InputError(f"{text}: names no bucket or folder: write {scheme}://bucket/prefix")
        return f"{scheme}://{rest.rstrip('/')}"
    text = os.path.expanduser(text)
    return text.rstrip("/") or "/"


def is_remote(uri: str) -> bool:
    """Whether the address needs fsspec, i.e. is not a local path."""
    return "://" in uri


def join(uri: str, *parts: str) -> str:
    """`uri/part/part`, empty parts left out."""
    return "/".join([uri.rstrip("/") if uri != "/" else "", *(p.strip("/") for p in parts if p.strip("/"))])


def parent_and_name(uri: str) -> tuple[str, str]:
    """The folder that holds `uri` ("" where there is none) and the last part of its name."""
    if is_remote(uri):
        scheme, _, rest = uri.partition("://")
        head, _, name = rest.rpartition("/")
        return (f"{scheme}://{head}" if head else ""), name
    path = Path(uri)
    return str(path.parent), path.name


def storage_options(uri: str) -> dict[str, Any]:
    """fsspec options of an address. The endpoint is part of fsspec's instance key, so a change is noticed."""
    if not uri.startswith("s3://"):
        return {}
    _persist()
    options: dict[str, Any] = {"use_listings_cache": False}
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        options["endpoint_url"] = endpoint
    if not {"AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS"} & os.environ.keys():
        options["config_kwargs"] = {"retries": {"mode": "standard", "total_max_attempts": ATTEMPTS}}
    return options


@cache
def _persist() -> None:
    """Have transient failures retried: by botocore (`standard`: jitter, up to 20 s), and by s3fs around it.

    s3fs alone counts too few answers as transient, and for too many others adds five tries around botocore's.
    """
    import s3fs.core

    s3fs.S3FileSystem.retries = ROUNDS
    s3fs.core.set_custom_error_handler(lambda error: hasattr(error, "response") and is_passing(error))


def delta_options(uri: str) -> dict[str, str]:
    """deltalake options of an address: it reads AWS_* itself, but refuses plain-HTTP endpoints unless told."""
    if not uri.startswith("s3://"):
        return {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    plain = {"AWS_ALLOW_HTTP": "true"} if endpoint.startswith("http://") else {}
    waiting = {"retry_timeout": "60s", "backoff_config.max_backoff": "5s"}  # its own are three minutes and 15 s
    return waiting | plain | ({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})


def filesystem(uri: str) -> tuple[Any, str]:
    """The fsspec filesystem of a remote or local address, and the path on it."""
    from fsspec.core import url_to_fs

    return cast(tuple[Any, str], url_to_fs(uri, **storage_options(uri)))


@contextmanager
def opening(uri: str) -> Iterator[None]:
    """Turn the many ways in which an address cannot be opened into one `InputError` naming it."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{uri}: nothing is there ({error}){nearest_names(uri)}") from error
    except Exception as error:
        if isinstance(error, PermissionError) and not is_remote(uri):
            raise InputError(f"{uri}: may not be read ({error}): check the permissions") from error
        if (fault := fault_of(error)) is None:
            raise
        raise fault.error(f"{uri}: cannot be read") from error


@contextmanager
def _remote(uri: str, tried: str = "read") -> Iterator[tuple[Any, str]]:
    """The filesystem of a remote address, and the path on it; failures there become one line."""
    with said(f"{uri}: cannot be {tried}"):
        yield filesystem(uri)


def is_file(uri: str) -> bool:
    """Whether a file or object with exactly this name exists. Where that is unknown it raises."""
    try:
        if not is_remote(uri):
            return S_ISREG(os.stat(uri).st_mode)
        with _remote(uri) as (fs, path):  # s3fs's isfile takes any failure for "no"
            return bool(fs.info(path)["type"] == "file")
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_folder(uri: str) -> bool:
    """Whether a folder, or any object below this prefix, exists."""
    try:
        if not is_remote(uri):
            return S_ISDIR(os.stat(uri).st_mode)
        with _remote(uri) as (fs, path):
            return bool(fs.isdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return False


def exists(uri: str) -> bool:
    """Whether a file, folder or prefix exists."""
    return is_file(uri) or is_folder(uri)


def children(uri: str) -> list[Child]:
    """What lies directly under a folder, sorted by name."""
    if not is_remote(uri):
        with os.scandir(uri) as entries:
            return sorted(Child(entry.name, entry.is_dir()) for entry in entries)
    with _remote(uri) as (fs, path):
        below = [entry for entry in fs.ls(path, detail=True) if entry["name"].rstrip("/") != path.rstrip("/")]
    return sorted(Child(entry["name"].rstrip("/").rpartition("/")[2], entry["type"] == "directory") for entry in below)


def stat(uri: str) -> StoredObject:
    """Size and version of one file or object; `key` is its name."""
    name = parent_and_name(uri)[1]
    if not is_remote(uri):
        found = os.stat(uri)
        return StoredObject(name, found.st_size, str(found.st_mtime_ns), found.st_mtime)
    with _remote(uri) as (fs, path):
        info = fs.info(path)
    return StoredObject(name, int(info["size"]), _version(info), _modified(info))


def list_objects(uri: str) -> list[StoredObject]:
    """Every file or object below a folder, at any depth, sorted by relative key. Symbolic links are followed."""
    if not is_remote(uri):
        return sorted(_walk_local(uri))
    with _remote(uri) as (fs, path):
        prefix = path.rstrip("/") + "/"
        found = fs.find(path, detail=True).items()
    return sorted(
        StoredObject(name.removeprefix(prefix), int(info["size"]), _version(info), _modified(info))
        for name, info in found
        if name != path
    )


def _walk_local(root: str) -> Iterator[StoredObject]:
    # Links are followed, as a linked partition folder left out would be rows lost; `seen` ends cycles.
    seen: set[tuple[int, int]] = set()
    folders = [""]
    while folders:
        relative = folders.pop()
        folder = os.path.join(root, relative)
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                key = f"{relative}/{entry.name}" if relative else entry.name
                try:
                    is_folder, found = entry.is_dir(), entry.stat()
                except OSError:  # a link that leads nowhere, or to itself: reading the file raises
                    yield StoredObject(key, 0, "")
                    continue
                if is_folder:
                    folders.append(key)
                else:
                    yield StoredObject(key, found.st_size, str(found.st_mtime_ns), found.st_mtime)


def _version(info: dict[str, Any]) -> str:
    return str(info.get("ETag") or info.get("created") or info.get("LastModified") or "").strip('"')


def _modified(info: dict[str, Any]) -> float:
    written = info.get("LastModified")
    return float(written.timestamp()) if isinstance(written, datetime) else 0.0


def open_binary(uri: str) -> BinaryIO:
    """A seekable binary file for reading. Remote reads are one range request each, nothing is read ahead."""
    if not is_remote(uri):
        return open(uri, "rb")
    with _remote(uri) as (fs, path):
        return cast(BinaryIO, fs.open(path, "rb", cache_type="none"))


def read_bytes(uri: str, start: int | None = None, stop: int | None = None) -> bytes:
    """The whole object, or its bytes start..stop; fewer where it ends earlier."""
    if is_remote(uri):
        with _remote(uri) as (fs, path):
            return cast(bytes, fs.cat_file(path, start=start, end=stop))
    with open(uri, "rb") as file:
        file.seek(start or 0)
        return file.read() if stop is None else file.read(stop - (start or 0))


def write_bytes(uri: str, data: bytes) -> None:
    """Write a whole object at once: readers see the old bytes or the new ones, never a part.

    Raises `RunError`, or `InputError` where the place cannot exist, naming cause and remedy.
    """
    if is_remote(uri):
        with _remote(uri, "written") as (fs, path):
            fs.pipe_file(path, data)
        return
    with said(f"{uri}: cannot be written"):
        replace_file(Path(uri), data)


def is_empty(uri: str) -> bool:
    """Whether nothing is there, or a folder with nothing in it."""
    return not exists(uri) or (is_folder(uri) and not children(uri))


def remove(uri: str) -> None:
    """Delete a file, or a folder and all below it; nothing happens where nothing is there."""
    if is_remote(uri):
        with _remote(uri, "removed") as (fs, path):
            if fs.exists(path):
                fs.rm(path, recursive=True)
        return
    with said(f"{uri}: cannot be removed"):
        if os.path.isdir(uri) and not os.path.islink(uri):
            shutil.rmtree(uri)
        elif os.path.lexists(uri):
            os.unlink(uri)


def remove_objects(uri: str, keys: Sequence[str]) -> None:
    """Delete objects below a folder by their relative keys, and local folders that are empty then."""
    if is_remote(uri):
        if keys:
            with _remote(uri, "removed") as (fs, path):
                fs.rm([f"{path.rstrip('/')}/{key}" for key in keys])
        return
    with said(f"{uri}: cannot be removed"):
        for key in keys:
            Path(uri, key).unlink(missing_ok=True)
    for folder in sorted({parent for key in keys for parent in Path(key).parents}, reverse=True):
        with suppress(OSError):  # not empty, or gone
            Path(uri, folder).rmdir()


def nearest_names(uri: str) -> str:
    """A tail for error messages: the names beside a missing address that resemble it most, or why there are none."""
    parent, name = parent_and_name(uri)
    if not parent:
        return ""
    try:
        names = [child.name for child in children(parent)]
    except Exception:  # only a hint: if the parent cannot be listed, the message goes without
        return f": {parent} does not exist either, or cannot be listed"
    near = difflib.get_close_matches(name, names, n=5, cutoff=0.4) or names[:5]
    return f": nearest names in {parent}: {', '.join(near)}" if near else f": {parent} is empty"


def digest(metadata: str, objects: Iterable[StoredObject]) -> str:
    """sha256 of metadata and of the sorted listing: what `Rows.fingerprint` returns."""
    hasher = hashlib.sha256(metadata.encode())
    for item in sorted(objects):
        hasher.update(f"\0{item.key}\0{item.size}\0{item.version}".encode())
    return hasher.hexdigest()
