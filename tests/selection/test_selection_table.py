"""The benchmark's table, small: the purpose of each strategy shows on the paper's two sets."""

from __future__ import annotations

from benchmarks.selection_table import PUBLISHED, table


def test_the_table_of_strategies_in_small() -> None:
    rows = table(2_500, 3, (50,))
    errors = {(name, strategy): error for name, strategy, _, error, _, _ in rows}
    assert len(errors) == 2 * len(PUBLISHED)
    assert all(0 < error < 1 for error in errors.values())
    for name in ("smile", "spiral"):
        assert errors[name, "rpcholesky"] < 0.9 * errors[name, "uniform"]
        assert errors[name, "greedy"] < errors[name, "rpcholesky"]
        assert errors[name, "leverage"] < errors[name, "uniform"]
    assert errors["smile", "maxmin"] < 0.3 * errors["smile", "leverage"]
    assert errors["spiral", "maxmin"] > errors["spiral", "rpcholesky"]
