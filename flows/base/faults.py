"""The line shown for an unexpected error: its cause where that lies outside, else that it is a fault of ours.

`landmark_ops.stores.faults` knows the system and S3; this adds the Prefect API and the Dask scheduler.
"""

from __future__ import annotations

import os

from landmark_ops.stores.faults import chain, fault_of
from landmark_ops.stores.known_faults import RESUME, Fault
from landmark_ops.wording import one_line

_SCHEDULER = Fault(
    "the Dask scheduler was lost", f"see its log for what ended it, start it and its workers, {RESUME}", passing=True
)
_MEMORY = Fault("the workers were lost", f"see their logs for what ended them, start some, {RESUME}")
_HTTP = (
    "ConnectError",
    "ConnectTimeout",
    "ReadTimeout",
    "ReadError",
    "RemoteProtocolError",
    "WriteError",
    "PoolTimeout",
)


def explain(error: BaseException, where: str) -> tuple[str, int]:
    """The one line and the exit code for an error that is neither `InputError` nor `RunError`.

    `where`: what was being done, ending in a colon and a space.
    """
    fault = next((found for one in chain(error) if (found := _of_service(one))), None) or fault_of(error)
    if fault is not None:
        name = getattr(error, "filename", None)
        place = f"{one_line(name, 200)}: " if name else ""
        return f"{where}{place}{fault.cause}: {fault.remedy}", 2 if fault.mistake else 1
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{where}{one_line(error.filename, 200)}: is not there, or not there any more: {RESUME[5:]}", 1
    text = one_line(error, 300)
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"{where}failed ({said}): this should not happen: add --debug for the whole story, and report it", 1


def prefect_api(cause: str) -> Fault:
    """A fault of the Prefect API that PREFECT_API_URL, or the active profile, names."""
    return Fault(
        f"the Prefect API {os.environ.get('PREFECT_API_URL', 'of the active profile')} {cause}",
        "start its server or correct PREFECT_API_URL (it ends in /api), or unset it to run without",
    )


def _of_service(error: BaseException) -> Fault | None:
    home, name = type(error).__module__.partition(".")[0], type(error).__name__
    text = one_line(error, 160)
    if home in ("httpx", "httpcore") and name in _HTTP:
        return prefect_api(f"cannot be reached ({text or name})")
    if (home == "httpx" and name == "HTTPStatusError") or name == "PrefectHTTPStatusError":
        return prefect_api(f"refuses ({text})")
    if name == "RuntimeError" and "Failed to reach API" in text:
        return prefect_api("cannot be reached")
    if home == "prefect":
        return prefect_api(f"fails ({name}: {text})")
    if home == "distributed":
        lost = name in ("CommClosedError", "FutureCancelledError", "ClosedClientError")
        return (_SCHEDULER if lost else _MEMORY)._replace(cause=f"{(_SCHEDULER if lost else _MEMORY).cause} ({text})")
    return None
