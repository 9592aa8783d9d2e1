"""The expendable decoder process: requests on standard input, pictures on standard output, until the input ends.

    request   REQUEST (length, max_pixels, min_side or -1, seconds), then the encoded bytes
    reply     FAILED, lengths, reason and detail  |  DECODED, shape, original size, scale, then the pixels

Started by isolated.py as `python -m landmark_ops.images.child MEMORY_BYTES`. Its memory is limited, it dumps no core,
and an alarm of the operating system ends it soon after a request's deadline even if the parent is gone.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from contextlib import suppress
from typing import BinaryIO

import numpy as np

from landmark_ops.images.decode import decode
from landmark_ops.images.reasons import DecodeFailure

REQUEST = struct.Struct("<QQqd")
FAILED = struct.Struct("<HI")
DECODED = struct.Struct("<IIIId")
READY = b"R"


def main() -> None:
    """Serve on the standard streams. Stray prints of native code go to standard error."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    limit_memory(int(sys.argv[1]))
    serve(source, sink)


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests until the input ends."""
    sink.write(READY)
    sink.flush()
    while head := source.read(REQUEST.size):
        length, max_pixels, min_side, seconds = REQUEST.unpack(head)
        set_alarm(seconds)
        data = source.read(length)
        if len(data) < length:
            return
        try:
            picture = decode(data, max_pixels=max_pixels, min_side=None if min_side < 0 else min_side)
        except DecodeFailure as failure:
            reason, detail = failure.reason.encode(), failure.detail.encode()
            sink.write(b"F" + FAILED.pack(len(reason), len(detail)) + reason + detail)
        else:
            height, width = picture.image.shape[:2]
            sink.write(b"D" + DECODED.pack(height, width, picture.width, picture.height, picture.scale))
            sink.write(np.ascontiguousarray(picture.image).data)
        sink.flush()
        set_alarm(0)


def set_alarm(seconds: float) -> None:
    """Have the operating system end this process a second after the deadline; 0 calls it off."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds + 1 if seconds else 0)


def limit_memory(limit_bytes: int) -> None:
    """Limit what this process may allocate beyond what it holds now, where the system can (Linux)."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the picture
        with open("/proc/self/statm", encoding="ascii") as file:
            held = int(file.read().split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (held + limit_bytes, held + limit_bytes))


if __name__ == "__main__":
    main()
