"""Connected components of a neighbour graph, and what to do where there are several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from landmark_ops.errors import InputError
from landmark_ops.numerics.edges import Edges

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

Policy = Literal["error", "join", "largest"]
NAMED_SIZES = 5  # component sizes that messages and notes list


@dataclass(frozen=True, eq=False)
class Components:
    """Connected components. labels: (s,) int32, 0 the largest, ties by lowest row; sizes: (c,) descending."""

    labels: NDArray[np.int32]
    sizes: I64

    @property
    def count(self) -> int:
        """c."""
        return len(self.sizes)

    def describe(self) -> str:
        """`3 components of 900, 60 and 40 rows`."""
        if self.count == 1:
            return f"1 component of {self.sizes[0]} rows"
        named = [str(size) for size in self.sizes[:NAMED_SIZES]]
        tail = f" and {self.count - NAMED_SIZES} smaller ones" if self.count > NAMED_SIZES else ""
        listed = ", ".join(named) if tail else f"{', '.join(named[:-1])} and {named[-1]}"
        return f"{self.count} components of {listed} rows{tail}"


def components_of(graph: sp.csr_array) -> Components:
    """Connected components of a symmetric graph, largest first."""
    count, found = connected_components(graph, directed=False)
    sizes = np.bincount(found, minlength=count)
    order = np.argsort(-sizes, kind="stable")  # SciPy numbers components by their first row
    rank = np.empty(count, np.int32)
    rank[order] = np.arange(count, dtype=np.int32)
    return Components(rank[found], sizes[order].astype(np.int64))


def check_policy(policy: str) -> None:
    """Refuse an unknown policy.

    Raises InputError naming those there are.
    """
    if policy not in get_args(Policy):
        raise InputError(f"components={policy!r} is unknown, it may be one of {', '.join(get_args(Policy))}")


def refuse_components(components: Components, n_neighbors: int) -> None:
    """The policy `error`: raise InputError where the graph has more than one component."""
    if components.count > 1:
        raise InputError(
            f"the graph of {n_neighbors} neighbours falls into {components.describe()}: no path leads from one to "
            "another, so their distances are infinite: raise n_neighbors, or set components: join (adds the shortest "
            "edges between them) or largest (the rows of all others get no coordinates)"
        )


def shortest_links(components: Components, nearest: I64, lengths: F64, queries: I64) -> Edges:
    """For each component the shortest of the edges that leave it: one round of Borůvka's algorithm.

    queries: (q,) rows; nearest, lengths: (q,) the nearest row outside the component of each. Ties by lowest rows.
    """
    labels = components.labels[queries]
    order = np.lexsort((nearest, queries, lengths, labels))
    chosen = order[np.flatnonzero(np.diff(labels[order], prepend=-1))]
    return Edges(queries[chosen], nearest[chosen], lengths[chosen])


def nearest_outside(tile: F64, query_labels: NDArray[np.int32], labels: NDArray[np.int32]) -> tuple[I64, F64]:
    """Nearest row of another component: column and distance, each (q,), of distances tile (q, b). Inf where none."""
    apart = np.where(query_labels[:, None] == labels[None, :], np.inf, tile)
    column = apart.argmin(axis=1)
    return column.astype(np.int64), apart[np.arange(len(apart)), column]
