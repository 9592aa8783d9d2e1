"""A lock on an object store: an object created exclusively and written again while its owner lives.

Whether an owner has died is judged by the server's clock alone, from the age of the object in the server's own words
(`Date` less `Last-Modified`), or else by watching it for as long: clocks of machines may differ by a quarter of an
hour. Every write is conditional on what was seen before, an object that holds our id is ours even if the reply to our
own request was lost, and one that cannot be read is not free.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from landmark_ops.stores import swaps
from landmark_ops.stores.faults import said
from landmark_ops.stores.fence import now
from landmark_ops.stores.locations import filesystem
from landmark_ops.stores.swaps import Seen, see

LEASE_SECONDS = 90.0  # not written for so long, its owner counts as dead
REFRESH_SECONDS = 20.0
WATCH_SECONDS = 1.0  # between looks at an object of unknown age
ROUNDING_SECONDS = 1.0  # Last-Modified has no fractions


class Lease:
    """The lease at `address`, for `owner`: {id, host, pid}."""

    def __init__(self, address: str, owner: dict[str, Any]) -> None:
        self.address, self.owner = address, owner
        self._beats = 0
        self._written = 0.0  # when the last successful write was begun
        self._stop = threading.Event()
        self._refresher = threading.Thread(target=self._refresh, daemon=True, name="output-lock")

    def take(self) -> dict[str, Any] | None:
        """Take the lease and keep it; returns the holder where another one is alive, {} if it is not named.

        Raises RunError where that cannot be found out.
        """
        seen: Seen | None = None
        while not self._write(seen):
            seen = see(self.address)
            with suppress(FileNotFoundError):  # given back at this moment
                if seen is not None and self._lives(seen):
                    return holder_of(seen)
        if seen is not None:  # where a server knows no conditions, two may take over at once: the later write wins
            time.sleep(1)
            seen = see(self.address)
            if seen is None or holder_of(seen).get("id") != self.owner["id"]:
                return {} if seen is None else holder_of(seen)
        self._refresher.start()
        return None

    def release(self) -> None:
        """Give it back. Where that fails it frees itself in time."""
        self._stop.set()
        if self._refresher.is_alive():
            self._refresher.join(LEASE_SECONDS)
        with suppress(Exception):
            seen = see(self.address)
            ours = seen is not None and holder_of(seen).get("id") == self.owner["id"]
            if ours and now() - self._written < LEASE_SECONDS:  # else another run may be taking it over
                fs, path = filesystem(self.address)
                fs.rm_file(path)

    def _write(self, seen: Seen | None) -> bool:
        """Write it if it is as it was seen; returns whether it is ours then."""
        began = now()
        self._beats += 1
        until = time.time() + LEASE_SECONDS  # read by older versions only
        content = {**self.owner, "beat": self._beats, "until": until}
        if not swaps.replace(self.address, json.dumps(content).encode(), seen):
            return False
        self._written = began
        return True

    def _refresh(self) -> None:
        while not self._stop.wait(REFRESH_SECONDS):
            with suppress(Exception):  # any failure of S3 may pass: a lease outlives several
                seen = see(self.address)
                if seen is None or holder_of(seen).get("id") != self.owner["id"]:
                    return  # this process slept too long: another run holds the lease
                self._write(seen)

    def _lives(self, seen: Seen) -> bool:
        age = age_by_server(self.address)
        if age is not None:
            return age <= LEASE_SECONDS + ROUNDING_SECONDS
        began = now()
        while now() - began <= LEASE_SECONDS:
            time.sleep(WATCH_SECONDS)
            found = see(self.address)
            if found is None:
                raise FileNotFoundError(self.address)
            if found != seen:
                return True
        return False


def holder_of(seen: Seen) -> dict[str, Any]:
    """The owner that a lease names; {} where it cannot be parsed."""
    try:
        holder = json.loads(seen.content)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def age_by_server(address: str) -> float | None:
    """Seconds since an S3 object was written, both times by the server's clock; None where it does not say."""
    if not address.startswith("s3://"):
        return None
    fs, path = filesystem(address)
    bucket, key, _ = fs.split_path(path)
    with said(f"{address}: cannot be read"):
        answer = fs.call_s3("head_object", Bucket=bucket, Key=key)
    try:
        written: datetime = answer["LastModified"]
        read = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        age = (read - written).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
    return None if age < 0 else age  # its clock was set back, or its nodes differ
