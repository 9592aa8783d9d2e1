"""One writer per output: a lock beside it, `<output>.lock`, that frees itself when its holder dies.

On local disk it is an advisory file lock, which the kernel drops with the process. On S3 it is an object created
exclusively and refreshed while the run lives; one not refreshed for `LEASE_SECONDS` counts as left by a dead run.
A run that has lost it is kept from writing by its fence.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from landmark_ops.errors import InputError
from landmark_ops.stores.fence import Fence
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
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        while self._file is None:
            file = open(self.path, "a+")  # noqa: SIM115  held until __exit__
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip()
                file.close()
                raise self._taken(_parse(holder)) from None
            if self._same_file(file):  # else its last holder removed it between our open and our lock
                file.truncate(0)
                file.write(json.dumps(self.owner))
                file.flush()
                self._file = file
            else:
                file.close()

    def _same_file(self, file: Any) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

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
