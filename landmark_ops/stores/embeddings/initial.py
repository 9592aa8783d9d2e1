"""An embedding as the starting layout of t-SNE or UMAP, which then keeps the global shape that the landmarks saw."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, check_argument
from landmark_ops.stores.embeddings.format import open_output

TSNE_STD = 1e-4  # of the first component: Kobak & Berens 2019, "The art of using t-SNE for single-cell transcriptomics"
UMAP_REACH = 10.0  # largest coordinate, as umap-learn scales its own spectral start


def layout_init(embedding: Any, n_components: int = 2, *, scale: str = "tsne") -> NDArray[np.float64]:
    """The first components of an embedding, centred and scaled to start from; (n, n_components) float64.

    embedding: an array (n, k), or the address of a complete output of `landmarks embed`. scale: "tsne" gives the first
    component a standard deviation of 1e-4, "umap" the largest coordinate a size of 10. The rows are those of the
    source, in order; the same rows, in the same order, are to be laid out.
    Raises InputError for fewer components than asked for, rows without coordinates, and outputs that are not complete.

    >>> import numpy as np
    >>> start = layout_init(np.random.default_rng(0).normal(size=(100, 5)))
    >>> start.shape, bool(np.isclose(start[:, 0].std(), 1e-4))
    ((100, 2), True)
    """
    if scale not in ("tsne", "umap"):
        raise InputError(f"scale {scale!r} is unknown: choose tsne or umap")
    check_argument("n_components", n_components, Integral, "a whole number")
    Y = read_complete(embedding) if isinstance(embedding, str) else np.asarray(embedding)
    if Y.ndim != 2 or Y.shape[1] < n_components:
        raise InputError(
            f"embedding of shape {Y.shape}: {n_components} components are needed to start from: embed into more, or "
            "ask for fewer"
        )
    start = np.asarray(Y[:, :n_components], np.float64)
    lost = int((~np.isfinite(start).all(axis=1)).sum())
    if lost:
        raise InputError(f"embedding: {lost:,} of {len(start):,} rows have no coordinates: leave them out of both")
    start = start - start.mean(axis=0)
    size = start[:, 0].std() / TSNE_STD if scale == "tsne" else np.abs(start).max() / UMAP_REACH
    if not size > 0:
        raise InputError("embedding: all rows have the same coordinates, there is nothing to start from")
    return np.asarray(start / size)


def read_complete(uri: str) -> NDArray[Any]:
    """The coordinates of a complete embedding, (n, k); InputError where there is none."""
    store = open_output(uri)
    status = store.read_status()
    if status is None or status.get("status") != "complete":
        state = "nothing is there" if status is None else f"its status is {status.get('status')}"
        raise InputError(f"{uri}: no complete embedding to start from: {state}")
    return store.read(0, store.shape[0])[0]
