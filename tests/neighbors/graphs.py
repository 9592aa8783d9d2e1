"""The neighbour graph by either search, whatever the number of rows."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from landmark_ops.neighbors import graph


def graph_by(exact: bool, *arguments: Any, **options: Any) -> graph.NeighborGraph:
    """`neighbor_graph`, as few rows have it (`exact`) or as very many do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "EXACT_ROWS", sys.maxsize if exact else 0)
        return graph.neighbor_graph(*arguments, **options)
