"""Scratch data of one run, for its own workers: large arrays by name, and an (n, m) matrix.

Beside the flow, never part of an output. Local files are mapped into memory, so that processes of one machine share
their pages; from S3 they are read whole. The matrix is a Zarr array in chunks of rows × columns: a task writes all
rows of whole column chunks, so no chunk ever has two writers, and it is read back by row ranges as `Rows`.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec

from landmark_ops.errors import RunError
from landmark_ops.stores import locations
from landmark_ops.stores.faults import said
from landmark_ops.stores.sources.rows import Rows
from landmark_ops.stores.sources.source import open_rows
from landmark_ops.stores.zarr_store import open_store

ROW_CHUNK, COLUMN_CHUNK = 16_384, 16  # 1 MiB of float32
UNWRITTEN = -1.0  # no length is negative; NaN may be a row without coordinates


@dataclass(frozen=True)
class Scratch:
    """A folder at `uri`, local or s3://, made on the first write."""

    uri: str

    def local_path(self, name: str) -> str | None:
        """The file that `name` may be written to directly, its folder made; None where the folder is remote."""
        if locations.is_remote(self.uri):
            return None
        os.makedirs(self.uri, exist_ok=True)
        return locations.join(self.uri, name)

    def put_array(self, name: str, values: NDArray[Any]) -> None:
        """Write an array as one .npy file."""
        with said(f"{self.uri}: {name}.npy cannot be written"):
            if path := self.local_path(f"{name}.npy"):
                np.save(path, values)
                return
        buffer = io.BytesIO()
        np.save(buffer, values)
        locations.write_bytes(locations.join(self.uri, f"{name}.npy"), buffer.getvalue())

    def get_array(self, name: str) -> NDArray[Any]:
        """An array that `put_array` wrote; a local one mapped copy-on-write.

        Raises RunError where this worker cannot read it.
        """
        address = locations.join(self.uri, f"{name}.npy")
        try:
            if not locations.is_remote(self.uri):
                return np.load(address, mmap_mode="c")
            return np.load(io.BytesIO(locations.read_bytes(address)), allow_pickle=False)
        except (OSError, ValueError) as error:
            raise RunError(
                f"{address}: cannot be read on this worker ({error}): all workers must see the scratch folder, put it "
                "on a shared file system or s3://"
            ) from error

    def create_matrix(self, name: str, n: int, m: int) -> None:
        """Make an empty float32 matrix (n, m), replacing one of that name."""
        zarr.create_array(
            open_store(locations.join(self.uri, name)),
            shape=(n, m),
            chunks=(min(ROW_CHUNK, n), min(COLUMN_CHUNK, m)),
            dtype="float32",
            fill_value=UNWRITTEN,
            compressors=[Crc32cCodec()],
            dimension_names=["row", "landmark"],
            overwrite=True,
        )

    def write_columns(self, name: str, start: int, values: NDArray[np.float32]) -> None:
        """Write columns (n, c) from column `start` on; both must lie on chunk borders, or end the matrix."""
        target = zarr.open_array(open_store(locations.join(self.uri, name)), mode="r+")
        stop = start + values.shape[1]
        width = target.chunks[1]
        if start % width or (stop % width and stop != target.shape[1]):
            raise ValueError(f"columns {start}..{stop} share chunks of {width} columns with another writer")
        target[:, start:stop] = values

    def open_matrix(self, name: str) -> Rows:
        """The matrix as rows; reading one that is not whole raises."""
        return open_rows(locations.join(self.uri, name))

    def remove(self, name: str) -> None:
        """Delete one array (`name.npy`) or matrix (`name`); nothing happens where it is not there."""
        locations.remove(locations.join(self.uri, name))
