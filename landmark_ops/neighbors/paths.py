"""Paths from landmarks along a graph: one Dijkstra batch of landmarks per task.

The graph goes to the workers once, through the scratch folder or as a shared argument. Results are (s, m) float32: with
a scratch folder a Zarr matrix of which each task writes whole column chunks, otherwise an array in this process.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.errors import InputError
from landmark_ops.neighbors.shared import forget, fresh_name, opened
from landmark_ops.numerics.geodesics import geodesics_from, symmetric
from landmark_ops.numerics.ranges import STORED, largest, stored
from landmark_ops.passes.ranges import ranges
from landmark_ops.row_range import Done, RowRange
from landmark_ops.stores.scratch import COLUMN_CHUNK, Scratch
from landmark_ops.stores.sources.rows import ArrayRows, Rows

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LANDMARK_BATCH = COLUMN_CHUNK  # one task writes whole column chunks
IN_MEMORY_BYTES = 2 << 30  # of geodesics without a scratch folder
PARTS = ("data", "indices", "indptr")  # of a CSR array


class SharedGraph(NamedTuple):
    """How tasks reach the graph: itself, or the scratch folder that holds it, and where their columns go."""

    matrix: sp.csr_array | None
    scratch: Scratch | None
    name: str
    target: str


def measure_paths(
    matrix: sp.csr_array, positions: I64, engine: Engine, scratch_uri: str | None, done: Done | None
) -> tuple[F64, Rows]:
    """Path lengths from the rows at `positions` (m,): among themselves (m, m), and of all s rows to them (s, m).

    Raises InputError for more than fits in memory where no scratch folder is given.
    """
    s, m = matrix.shape[0], len(positions)
    scratch = None if scratch_uri is None else Scratch(scratch_uri)
    shared = SharedGraph(None if scratch else matrix, scratch, fresh_name("graph"), "geodesics")
    values = np.empty((0, 0), np.float32)
    if scratch is None:
        if s * m * 4 > IN_MEMORY_BYTES:
            raise InputError(
                f"geodesics of {s} rows to {m} landmarks take {s * m * 4 >> 20} MiB, {IN_MEMORY_BYTES >> 20} MiB at "
                "most are kept in memory: give a scratch folder, fewer landmarks or a smaller support"
            )
        values = np.empty((s, m), np.float32)
    else:
        put_graph(scratch, shared.name, matrix)
        scratch.create_matrix(shared.target, s, m)
    landmark = np.empty((m, m))
    try:
        for (start, stop), (among, columns) in engine.imap(
            path_block, ranges(m, LANDMARK_BATCH), shared, positions, done=done
        ):
            landmark[start:stop] = among
            if columns is not None:
                values[:, start:stop] = columns
    finally:
        forget()
        if scratch is not None:
            for part in PARTS:
                scratch.remove(f"{shared.name}-{part}.npy")
    return symmetric(landmark), ArrayRows(values) if scratch is None else scratch.open_matrix(shared.target)


def path_block(item: RowRange, shared: SharedGraph, positions: I64) -> tuple[F64, F32 | None]:
    """Geodesics of landmarks item[0]..item[1]: to all landmarks (b, m), and to all rows (s, b) unless written."""
    matrix = shared.matrix
    if shared.scratch is not None:
        matrix = opened(shared.scratch, shared.name, get_graph)
    lengths = geodesics_from(matrix, positions[slice(*item)])
    among = lengths[:, positions]
    lengths[np.isinf(lengths)] = np.nan  # rows of other components
    refuse_beyond_single(lengths)
    columns = np.ascontiguousarray(lengths.T, np.float32)
    del lengths
    if shared.scratch is None:
        return among, columns
    shared.scratch.write_columns(shared.target, item[0], columns)
    return among, None


def refuse_beyond_single(lengths: F64) -> None:
    """InputError where lengths, NaN aside, are not what float32 can hold, in which they are kept."""
    top = largest(lengths)
    if not stored(top):
        raise InputError(
            f"geodesics reach {top:.3g}, they are kept in float32, which holds {STORED[0]:.0e} to {STORED[1]:.0e}: "
            "multiply the rows by a power of ten"
        )


def put_graph(scratch: Scratch, name: str, matrix: sp.csr_array) -> None:
    """Store the graph for `get_graph`."""
    for part in PARTS:
        scratch.put_array(f"{name}-{part}", getattr(matrix, part))


def get_graph(scratch: Scratch, name: str) -> sp.csr_array:
    """The graph as `put_graph` stored it, mapped where it lies on this machine."""
    data, indices, indptr = (scratch.get_array(f"{name}-{part}") for part in PARTS)
    return sp.csr_array((data, indices, indptr), shape=(len(indptr) - 1, len(indptr) - 1))
