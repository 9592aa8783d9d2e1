"""The detect command: `flows.detect.detect` is its Prefect flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.detect.flow import detect as detect

__all__ = ["detect"]


def __getattr__(name: str) -> Any:
    """The flow, imported when asked for: Prefect takes a second."""
    if name != "detect":
        raise AttributeError(f"module 'flows.detect' has no attribute {name!r}")
    from flows.detect.flow import detect

    return detect
