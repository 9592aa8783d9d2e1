"""Differences between a run and the run that made an output."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from flows.embed.earlier import Earlier
from flows.embed.given_landmarks import hash_given
from flows.embed.stored_map import StoredMap
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.errors import DamagedError
from landmark_ops.stores.embeddings.landmark_rows import find_replaced
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.sources.rows import Rows


class Making(NamedTuple):
    """What an output depends on beside its config: where any of it differs, so does the output."""

    rows: Rows
    fingerprint: str
    given: NDArray[Any] | None
    earlier: Earlier | None
    stored: StoredMap | None = None

    @property
    def map_sha256(self) -> str | None:
        """Content of the stored map that rows are placed by."""
        return None if self.stored is None else self.stored.sha256


def difference(store: EmbeddingStore, status: dict[str, Any], config: EmbedConfig, made_of: Making) -> str:
    """What differs between this run and the one recorded in an output; empty where nothing does."""
    rows, fingerprint, given, earlier, _ = made_of
    source = status.get("source", {})
    if source.get("fingerprint") != fingerprint:
        return _another_source(source, config, rows)
    if status.get("result_hash") == config.result_hash(made_of.map_sha256):
        if status.get("given_sha256") == hash_given(given, earlier):
            return another_content(store, rows)
        return f"another embedding at {earlier.uri}" if earlier else f"other points in {config.landmarks.points}"
    placed_by = status.get("map") or {}
    if placed_by.get("sha256") != made_of.map_sha256:
        then, now = (
            "a method of its own" if uri is None else f"the map of {uri}" for uri in (placed_by.get("uri"), config.map)
        )
        return f"another map at {config.map}" if then == now else f"{then} instead of {now}"
    recorded = status.get("config", {})
    ours = config.model_dump(mode="json")
    changed = [
        f"{section}.{key} {then.get(key)!r} instead of {now.get(key)!r}"
        for section in ("landmarks", "method", "source", "target")
        for then, now in [(recorded.get(section) or {}, ours.get(section) or {})]
        for key in sorted({*then, *now})
        if then.get(key) != now.get(key) and (section, key) not in (("source", "uri"), ("source", "version"))
    ]
    return ", ".join(changed) or "another configuration"


def _another_source(recorded: dict[str, Any], config: EmbedConfig, rows: Rows) -> str:
    """A description of the source that was read, if its fingerprint differs."""
    then = recorded.get("version")
    if then is None or rows.version in (None, then) or recorded.get("uri") != config.source.uri:
        return "another source, or the source has changed since"
    return f"version {then} of the source instead of {rows.version} (set source.version: {then} to keep to it)"


def another_content(store: EmbeddingStore, rows: Rows) -> str:
    """What shows that a source of the same name, size and time has other content; empty where nothing does."""
    try:
        row = find_replaced(store, rows)
    except DamagedError:
        return ""  # reported where the landmarks are loaded, or the output is checked
    if row is None:
        return ""
    return f"other content of {rows.uri} (row {row} is not the landmark it was, though size and time are the same)"
