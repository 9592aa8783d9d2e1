"""Geodesics from landmarks along a neighbour graph, and the part of them stored with a map."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.errors import InputError
from landmark_ops.neighbors.graph import NeighborGraph
from landmark_ops.neighbors.joins import join_components
from landmark_ops.neighbors.paths import measure_paths
from landmark_ops.neighbors.support import Support
from landmark_ops.numerics.components import Components, Policy, check_policy, components_of, refuse_components
from landmark_ops.numerics.geodesic_block import SUPPORT_ROWS, Geodesic
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.row_range import Done
from landmark_ops.stores.sources.rows import Rows

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class Geodesics(NamedTuple):
    """Shortest path lengths of s support rows to the kept landmarks, m' of m."""

    landmark: F64  # (m', m') among the landmarks, symmetric
    rows: Rows  # (s, m') float32, NaN for rows outside the largest component under `largest`
    kept: I64  # (m',) which of the m landmarks these are: all, unless `largest` left some without a path
    components: Components  # of the graph before joining
    matrix: sp.csr_array  # the graph they were measured along, with edges that joining added
    note: str

    def read(self, start: int, stop: int) -> F32:
        """Geodesics of support rows start..stop, (stop - start, m')."""
        return np.asarray(self.rows.read(start, stop), np.float32)


def landmark_geodesics(
    graph: NeighborGraph,
    landmark_positions: I64,
    engine: Engine,
    *,
    policy: Policy,
    scratch_uri: str | None,
    source: Rows | None = None,
    done: Done | None = None,
) -> Geodesics:
    """Geodesics from m landmarks, given by their positions in the support (m,), to all s support rows.

    `policy` for a graph of several components: `error`; `join` by the shortest edges between them, for which `source`,
    the rows the graph was made of, is needed where the graph does not hold its points; `largest`: rows and landmarks
    outside the largest get none. `done` is called with ranges of landmarks.

    Raises InputError where no landmark lies in the largest component.
    """
    check_policy(policy)
    positions = np.asarray(landmark_positions, np.int64)
    s = graph.matrix.shape[0]
    if len(positions) == 0 or positions.min() < 0 or positions.max() >= s:
        raise ValueError(f"landmark positions must be one or more of 0..{s - 1}, positions in the support")
    components = components_of(graph.matrix)
    matrix, kept, note = graph.matrix, np.arange(len(positions)), components.describe()
    if components.count > 1:
        if policy == "error":
            refuse_components(components, graph.n_neighbors)
        elif policy == "join":
            matrix, joined = join_components(graph, components, engine, source)
            note += f", {joined}"
        else:
            kept = np.flatnonzero(components.labels[positions] == 0)
            if len(kept) == 0:
                raise InputError(
                    f"none of {len(positions)} landmarks lies in the largest of {components.describe()}: give more "
                    "landmarks, raise n_neighbors, or set components: join"
                )
            note += f", the largest alone has coordinates; {len(positions) - len(kept)} landmarks left out"
    landmark, values = measure_paths(matrix, positions[kept], engine, scratch_uri, done)
    return Geodesics(landmark, values, kept, components, matrix, note)


def geodesic_support(
    rows: Rows, graph: NeighborGraph, geodesics: Geodesics, landmark_positions: I64, engine: Engine, *, seed: int = 0
) -> Geodesic:
    """The block that places new rows: all support rows with their geodesics, or `SUPPORT_ROWS` of them and landmarks.

    `landmark_positions`: (m,) as given to `landmark_geodesics`; landmarks that are kept are always among the points,
    so that they keep their own coordinates. Rows off the largest component are among them too, at infinity: as new rows
    they have no coordinates either, nor have new rows among them.
    """
    kept = np.arange(len(graph.support_indices))
    if len(kept) > SUPPORT_ROWS:
        landmarks = np.asarray(landmark_positions, np.int64)[geodesics.kept]
        draw = generator(seed, Stream.GEODESIC_SUPPORT)
        others = np.setdiff1d(kept, landmarks)
        drawn = draw.choice(others, SUPPORT_ROWS - min(len(np.unique(landmarks)), SUPPORT_ROWS // 2), replace=False)
        kept = np.union1d(drawn, landmarks)
    at = graph.support_indices[kept]
    points = Support(rows, at).gather(engine) if graph.points is None else graph.points[kept]
    lengths = geodesics.rows.take(kept)
    unreached = np.isnan(lengths)
    if unreached.any():
        lengths = np.where(unreached, np.float32(np.inf), lengths)
    return Geodesic(points, lengths, min(graph.n_neighbors, len(kept)), graph.metric)
