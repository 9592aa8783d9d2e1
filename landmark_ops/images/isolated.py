"""Decoding in an expendable child process, kept between files and replaced when it dies, so that a crash is harmless.

A decoder is a large body of C fed with untrusted bytes. `decode_safely` runs it here for the common kinds of JPEG,
PNG and WebP, and in the child for all others (TIFF, BMP, GIF, CMYK, arithmetic or many-scan JPEG); after a worker has
died, a caller repeats its files with isolation="always", and the file that kills it becomes a failure row.

The child is a plain subprocess, not a multiprocessing one: Dask's workers are daemonic and may not have those.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np

from landmark_ops.errors import RunError
from landmark_ops.images import reasons
from landmark_ops.images.child import DECODED, FAILED, READY, REQUEST
from landmark_ops.images.decode import MAX_PIXELS, Decoded, decode_examined, examine
from landmark_ops.images.reasons import DecodeFailure

__all__ = ["IsolatedDecoder", "Isolation", "decode_isolated", "decode_safely"]

Isolation = Literal["never", "risky", "always"]

TIMEOUT_S = 30.0
START_UP_S = 60.0
#: What the child may allocate: the largest picture allowed is held up to four times, once with four channels.
MEMORY_BYTES = 2 << 30
PACKAGES = str(Path(__file__).parents[2])


def decode_safely(
    data: bytes,
    *,
    isolation: Isolation = "risky",
    timeout_s: float = TIMEOUT_S,
    max_pixels: int = MAX_PIXELS,
    min_side: int | None = None,
) -> Decoded:
    """Decode one picture, here or in the child.

    `isolation`: "never" decodes here, "always" in the child, "risky" (the default) in the child all but common JPEG,
    PNG and WebP. The result is the same, the child costs some 3 ms for a 720p picture. Headers are always checked
    here first. Raises DecodeFailure.
    """
    header, stream = examine(data, max_pixels=max_pixels)
    if isolation == "never" or (isolation == "risky" and stream.common):
        return decode_examined(header, stream, min_side=min_side)
    return decode_isolated(data, timeout_s=timeout_s, max_pixels=max_pixels, min_side=min_side)


def decode_isolated(
    data: bytes, *, timeout_s: float = TIMEOUT_S, max_pixels: int = MAX_PIXELS, min_side: int | None = None
) -> Decoded:
    """Decode one picture in the child of this process, which is started on the first call.

    Raises DecodeFailure: those of `decode`, and decoder_crashed, too_slow.
    """
    return shared_decoder().decode(data, timeout_s=timeout_s, max_pixels=max_pixels, min_side=min_side)


class IsolatedDecoder:
    """A child process that decodes, started when first needed, replaced when it died or overran its time.

    A context manager; safe to share between threads, which take turns. `command` replaces the child's program.
    """

    def __init__(self, *, memory_bytes: int = MEMORY_BYTES, command: Sequence[str] | None = None) -> None:
        self._command = list(command or [sys.executable, "-P", "-m", "landmark_ops.images.child", str(memory_bytes)])
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._fresh = True

    def __enter__(self) -> IsolatedDecoder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id of the running child, if any."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def close(self) -> None:
        """End the child; the next picture starts another."""
        with self._lock:
            self._stop()

    def decode(
        self, data: bytes, *, timeout_s: float = TIMEOUT_S, max_pixels: int = MAX_PIXELS, min_side: int | None = None
    ) -> Decoded:
        """Decode one picture. Raises DecodeFailure, or RunError where no child can be started.

        A death is blamed on the picture only if the child was fresh; else the picture is tried once in a fresh one,
        since an earlier picture may have done the damage.
        """
        request = REQUEST.pack(len(data), max_pixels, -1 if min_side is None else min_side, timeout_s)
        with self._lock:
            for _ in range(2):
                child, fresh = self._start(), self._fresh
                self._fresh = False
                expired = threading.Event()
                watchdog = threading.Timer(timeout_s, end_late, (child, expired))
                watchdog.daemon = True
                watchdog.start()
                answered = False
                try:
                    send(child, request, data)
                    picture = receive(child)
                    answered = True
                    return picture
                except DecodeFailure:
                    answered = True
                    raise
                except (EOFError, BrokenPipeError):
                    if expired.is_set():
                        raise DecodeFailure(reasons.TOO_SLOW, f"not decoded in {timeout_s:g} s") from None
                    code = child.wait()
                    if fresh:
                        raise DecodeFailure(reasons.DECODER_CRASHED, ending_of(code)) from None
                finally:
                    watchdog.cancel()
                    if not answered or expired.is_set():
                        self._stop()
        raise AssertionError("the second child is always fresh")

    def _start(self) -> subprocess.Popen[bytes]:
        """The running child, or a fresh one that has said it is ready."""
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._stop()
        path = os.pathsep.join(filter(None, [PACKAGES, os.environ.get("PYTHONPATH")]))
        threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._child = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, **threads},
        )
        self._fresh = True
        watchdog = threading.Timer(START_UP_S, self._child.kill)
        watchdog.daemon = True
        watchdog.start()
        assert self._child.stdout is not None
        ready = self._child.stdout.read(len(READY))
        watchdog.cancel()
        if ready != READY:
            code = self._child.wait()
            self._stop()
            raise RunError(f"the decoder process did not start within {START_UP_S:g} s: {ending_of(code)}")
        return self._child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):  # unsent bytes
                        stream.close()


def end_late(child: subprocess.Popen[bytes], expired: threading.Event) -> None:
    """Kill a child whose time is up, and say so."""
    expired.set()
    child.kill()


def send(child: subprocess.Popen[bytes], request: bytes, data: bytes) -> None:
    """Write one request. Raises BrokenPipeError where the child is gone."""
    assert child.stdin is not None
    child.stdin.write(request)
    child.stdin.write(data)
    child.stdin.flush()


def receive(child: subprocess.Popen[bytes]) -> Decoded:
    """Read one reply. Raises EOFError where the child is gone, DecodeFailure as the child did."""
    kind = read_exactly(child, 1)
    if kind == b"D":
        height, width, original_w, original_h, scale = DECODED.unpack(read_exactly(child, DECODED.size))
        image = np.frombuffer(read_exactly(child, height * width * 3), np.uint8).reshape(height, width, 3)
        return Decoded(image, original_w, original_h, scale)
    if kind != b"F":
        raise EOFError
    lengths = FAILED.unpack(read_exactly(child, FAILED.size))
    reason, detail = (read_exactly(child, n).decode() for n in lengths)
    raise DecodeFailure(reason, detail)


def read_exactly(child: subprocess.Popen[bytes], size: int) -> bytearray:
    """`size` bytes of the child's output, writable. Raises EOFError where it ends first."""
    assert child.stdout is not None
    out = bytearray(size)
    view, got = memoryview(out), 0
    while got < size:
        n = child.stdout.readinto(view[got:])  # type: ignore[attr-defined]
        if not n:
            raise EOFError
        got += n
    return out


def ending_of(code: int) -> str:
    """How a process ended, in words."""
    return f"ended by signal {-code}" if code < 0 else f"exited with {code}"


_shared: tuple[int, IsolatedDecoder] | None = None
_shared_lock = threading.Lock()


def shared_decoder() -> IsolatedDecoder:
    """The one of this process; a forked process gets its own."""
    global _shared
    with _shared_lock:
        if _shared is None or _shared[0] != os.getpid():
            _shared = (os.getpid(), IsolatedDecoder())
            atexit.register(close_shared)
        return _shared[1]


def close_shared() -> None:
    """End the child at exit, unless it is that of the process this one was forked from."""
    if _shared is not None and _shared[0] == os.getpid():
        _shared[1].close()
