"""One writer per output: a lock beside it, `<output>.lock`, that frees itself when its holder dies.

On local disk it is an advisory file lock, which the kernel drops with the process. On S3 it is an object created
exclusively and refreshed while the run lives; one not refreshed for `LEASE_SECONDS` counts as left by a dead run.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from landmark_ops.errors import InputError
from landmark_ops.stores.fence import Fence
from landmark_ops.stores.locations import filesystem, is_remote, read_bytes, write_bytes

LEASE_SECONDS = 90.0
REFRESH_SECONDS = 20.0


class OutputLock:
    """Context manager holding the lock of the output at `uri`; InputError where another run holds it."""

    def __init__(self, uri: str) -> None:
        self.path = f"{uri}.lock"
        self.owner: dict[str, Any] = {"id": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self._file: Any = None
        self._stop = threading.Event()
        self._refresher: threading.Thread | None = None

    def __enter__(self) -> Self:
        try:
            if is_remote(self.path):
                self._take_lease()
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
        self._stop.set()
        if self._refresher is not None:
            self._refresher.join()  # a refresh under way would bring the lock back after its removal
        fs, path = filesystem(self.path)
        if self._read_lease().get("id") == self.owner["id"]:
            fs.rm_file(path)

    @property
    def fence(self) -> Fence:
        """What tasks of this run, wherever they are, ask before they write."""
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
                raise self._taken(holder) from None
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

    def _take_lease(self) -> None:
        fs, path = filesystem(self.path)
        try:
            fs.pipe_file(path, self._lease(), mode="create")
        except OSError:  # FileExistsError, or plain OSError from some servers
            lease = self._read_lease()
            if lease.get("until", 0) > time.time():
                raise self._taken(json.dumps(lease)) from None
            write_bytes(self.path, self._lease())
            time.sleep(1)  # two runs that both found it expired: the later writer wins, the other one sees so here
            if self._read_lease().get("id") != self.owner["id"]:
                raise self._taken(json.dumps(self._read_lease())) from None
        self._refresher = threading.Thread(target=self._refresh, daemon=True, name="output-lock")
        self._refresher.start()

    def _refresh(self) -> None:
        while not self._stop.wait(REFRESH_SECONDS):
            try:
                holder = self._read_lease().get("id", self.owner["id"])
                if holder == self.owner["id"]:  # else this process slept too long and another run has taken over
                    write_bytes(self.path, self._lease())
            except Exception:  # a passing failure of S3, of whatever type: the lease outlives several missed refreshes
                continue

    def _lease(self) -> bytes:
        return json.dumps({**self.owner, "until": time.time() + LEASE_SECONDS}).encode()

    def _read_lease(self) -> dict[str, Any]:
        try:
            lease = json.loads(read_bytes(self.path))
        except (OSError, ValueError):
            return {}
        return lease if isinstance(lease, dict) else {}

    def _taken(self, holder: str) -> InputError:
        try:
            known = json.loads(holder)
            who = f"process {known['pid']} on {known['host']}"
        except (ValueError, KeyError, TypeError):
            who = "another process"
        return InputError(
            f"output {self.path.removesuffix('.lock')}: {who} is writing it now: wait for that run, "
            "or choose another output.uri"
        )
