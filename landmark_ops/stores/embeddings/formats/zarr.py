"""Zarr v3: one group per embedding, readable with plain zarr and xarray."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landmark_ops.stores.embeddings.format import OUTPUTS, OutputFormat
from landmark_ops.stores.locations import is_file, join

if TYPE_CHECKING:
    from landmark_ops.stores.embeddings.store import EmbeddingStore


class ZarrFormat(OutputFormat):
    """A folder with a metadata document."""

    name = "zarr"
    suffix = ".zarr"

    def store(self, uri: str) -> EmbeddingStore:
        """The group at an address."""
        from landmark_ops.stores.embeddings.zarr.store import ZarrStore

        return ZarrStore(uri)

    def lies_at(self, uri: str) -> bool:
        """By its metadata document."""
        return is_file(join(uri, "zarr.json"))


OUTPUTS.register(ZarrFormat())
