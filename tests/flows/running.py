"""Helpers of the flow tests: sources of every kind, configs, one run in this process, what it left behind."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from numpy.typing import NDArray

from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.stores.zarr_store import open_store

REPO = Path(__file__).parents[2]


def open_output(uri: str) -> Any:
    """The Zarr group of an output, as any reader finds it."""
    return zarr.open_group(store=open_store(uri), mode="r", zarr_format=3)


def points(n: int = 400, d: int = 6, rank: int = 4, seed: int = 0) -> NDArray[np.float32]:
    """n rows of a rank-`rank` cloud in d features, off-centre, float32."""
    rng = np.random.default_rng(seed)
    scales = np.linspace(3, 1, rank)
    return (rng.normal(size=(n, rank)) * scales @ rng.normal(size=(rank, d)) + 2).astype(np.float32)


def write_npy(path: Path, X: NDArray[Any]) -> str:
    np.save(path, X)
    return str(path)


def write_zarr(path: Path, X: NDArray[Any], chunks: tuple[int, ...], **options: Any) -> str:
    zarr.create_group(path).create_array("rows", data=X, chunks=chunks, **options)
    return str(path)


def write_parquet(path: Path, X: NDArray[Any], row_group_size: int = 100) -> str:
    """One Parquet file with the column `vec`."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1])
    pq.write_table(pa.table({"vec": column}), path, row_group_size=row_group_size)
    return str(path)


def make_config(source: str, output: Path | str, /, **sections: Any) -> dict[str, Any]:
    """A config of 30 landmarks and 3 components; keywords replace or extend whole sections, key by key."""
    config: dict[str, Any] = {
        "source": {"uri": source},
        "output": {"uri": str(output)},
        "landmarks": {"count": 30},
        "method": {"name": "landmark_mds", "n_components": 3},
        "cluster": {"workers": 2},
        "report": {"sample": 200},
    }
    for name, section in sections.items():
        config[name] = {**config[name], **section}
    return config


def run_embed(config: dict[str, Any]) -> dict[str, Any]:
    """Run the embed flow in this process, against the Prefect server of the session."""
    from flows.embed.flow import embed

    return dict(embed(EmbedConfig.model_validate(config)))


def attributes(uri: Path | str) -> dict[str, Any]:
    """The `landmark_ops` attributes of an output, read by plain zarr."""
    return dict(zarr.open_group(str(uri), mode="r").attrs["landmark_ops"])  # type: ignore[arg-type]


def arrays(uri: Path | str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embedding and residual of an output, read by plain zarr."""
    group: Any = zarr.open_group(str(uri), mode="r")
    return group["embedding"][...], group["residual"][...]


def landmark_indices(uri: Path | str) -> NDArray[np.int64]:
    group: Any = zarr.open_group(str(uri), mode="r")
    return np.asarray(group["landmarks/indices"][...])


def command(*arguments: Path | str, setup: str = "") -> list[str]:
    """`landmarks ARGUMENTS` as a subprocess; `setup` is run in it first, to make tasks small or slow."""
    return [sys.executable, "-c", f"{setup}\nfrom flows.cli.app import main; main()", *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    """The environment of such a subprocess: it imports from this repository, wherever it runs."""
    return {**os.environ, "PYTHONPATH": str(REPO), **changes}


def copy_of_database(prefect_home: Path, target: Path) -> str:
    """A Prefect home whose database is already migrated: a server of its own starts in seconds."""
    target.mkdir()
    [template] = prefect_home.glob("landmark-ops-*.db")
    shutil.copyfile(template, target / "prefect.db")
    return str(target)
