"""The Zarr stores outputs are written to: zarr's own, with failures turned into one line that names the object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore

from landmark_ops.stores.faults import said
from landmark_ops.stores.locations import is_remote, storage_options

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


class _Told(Store):
    """Mixin for a store that turns failures into one line; comes first among the bases."""

    address = ""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        with said(f"{self.address}/{key}: cannot be read"):
            return await super().get(key, prototype, byte_range)  # type: ignore[safe-super, arg-type]

    async def set(self, key: str, value: Buffer, byte_range: tuple[int, int] | None = None) -> None:
        with said(f"output {self.address}/{key}: cannot be written"):
            await super().set(key, value)  # type: ignore[safe-super]

    async def delete(self, key: str) -> None:
        with said(f"output {self.address}/{key}: cannot be removed"):
            await super().delete(key)  # type: ignore[safe-super]

    async def delete_dir(self, prefix: str) -> None:
        with said(f"output {self.address}/{prefix}: cannot be removed"):
            await super().delete_dir(prefix)


class _Local(_Told, LocalStore):
    """Local disk."""


class _Remote(_Told, FsspecStore):
    """S3, or memory."""


def open_store(uri: str) -> Store:
    """The zarr store at a local path or s3:// address."""
    if not is_remote(uri):
        store: Any = _Local(uri)
    else:
        store = _Remote.from_url(uri, storage_options=storage_options(uri))
    store.address = uri
    return cast(Store, store)
