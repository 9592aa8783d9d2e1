"""A sample of rows for estimating parameters that were left out, before there are landmarks."""

from __future__ import annotations

from landmark_ops.engine.protocol import Engine
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.random_streams import Stream, derived_seed
from landmark_ops.selection.draws import draw_rows
from landmark_ops.selection.request import Request
from landmark_ops.selection.usable_rows import Rule
from landmark_ops.stores.sources.rows import Rows

PROBE_ROWS = 1000


def probe_rows(
    rows: Rows,
    seed: int,
    engine: Engine,
    skip_bad_rows: bool = False,
    rule: Rule = None,
) -> Array:
    """A uniform sample of min(n, PROBE_ROWS) rows, (s, d) stored dtype, to estimate a bandwidth before landmarks.

    The same rows for one seed, whatever the chunks, workers and engine. Fewer where bad rows may be skipped and no more
    are usable; `rule` says which are.
    """
    wanted = min(rows.n, PROBE_ROWS)
    request = Request(rows, wanted, derived_seed(seed, Stream.PROBE_ROWS), engine, rule, skip_bad_rows)
    return draw_rows(request, wanted, least=1).points
