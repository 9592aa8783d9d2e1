"""One writer per output: a lock beside it, `<output>.lock`, that frees itself when its holder dies.

On local disk it is an advisory file lock, which the kernel drops with the process. On S3 it is an object created
exclusively and refreshed while the run lives; one not refreshed for `LEASE_SECONDS` counts as left by a dead run.
A run that has lost it is kept from writing by its fence.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from landmark_ops.errors import InputError
from landmark_ops.stores.fence import Fence
from landmark_ops.stores.file_lock import FileHeldError, lock_file
from landmark_ops.stores.lease import LEASE_SECONDS, Lease
from landmark_ops.stores.locations import is_remote


class OutputLock:
    """Context manager holding the lock of the output at `uri`; InputError where another run holds it."""

    def __init__(self, uri: str) -> None:
        self.path = f"{os.path.realpath(uri) if os.path.islink(uri) else uri}.lock"  # one, by whatever link
        self.owner: dict[str, Any] = {"id": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self._file: Any = None
        self._lease = Lease(self.path, self.owner)

    def __enter__(self) -> Self:
        try:
            if is_remote(self.path):
                holder = self._lease.take()
                if holder is not None:
                    raise self._taken(holder, f"; if it has died, its lock is free within {LEASE_SECONDS:.0f} s")
            else:
                self._take_file()
        except OSError as error:
            raise InputError(
                f"output {self.path.removesuffix('.lock')}: cannot be written: {error.strerror or error}: "
                "choose another output.uri, or permit writing there"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            Path(self.path).unlink(missing_ok=True)
            self._file.close()
            self._file = None
            return
        self._lease.release()

    @property
    def fence(self) -> Fence:
        """The check that every task of this run makes before it writes."""
        return Fence(self.path.removesuffix(".lock"), self.path, self.owner["id"])

    def _take_file(self) -> None:
        try:
            self._file = lock_file(Path(self.path), wait=False)
        except FileHeldError as held:
            raise self._taken(_parse(held.content)) from None
        self._file.truncate(0)
        self._file.write(json.dumps(self.owner))
        self._file.flush()

    def _taken(self, holder: dict[str, Any], more: str = "") -> InputError:
        named = {"pid", "host"} <= holder.keys()
        who = f"process {holder['pid']} on {holder['host']}" if named else "another process"
        return InputError(
            f"output {self.path.removesuffix('.lock')}: {who} is writing it now: wait for that run, "
            f"or choose another output.uri{more}"
        )


def _parse(holder: str) -> dict[str, Any]:
    try:
        known = json.loads(holder)
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}
