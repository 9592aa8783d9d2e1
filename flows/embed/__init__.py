"""The embed command: `flows.embed.embed` is its Prefect flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.embed.flow import embed as embed

__all__ = ["embed"]


def __getattr__(name: str) -> Any:
    """The flow, imported when asked for: Prefect takes a second."""
    if name != "embed":
        raise AttributeError(f"module 'flows.embed' has no attribute {name!r}")
    from flows.embed.flow import embed

    return embed
