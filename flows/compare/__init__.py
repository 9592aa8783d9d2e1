"""The compare command: `flows.compare.compare` is its Prefect flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.compare.flow import compare as compare

__all__ = ["compare"]


def __getattr__(name: str) -> Any:
    """The flow, imported when asked for: Prefect takes a second."""
    if name != "compare":
        raise AttributeError(f"module 'flows.compare' has no attribute {name!r}")
    from flows.compare.flow import compare

    return compare
