"""Rows drawn uniformly without replacement, by global row index; unusable ones are refused or replaced."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, Word
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.passes.lookup import cells, gather
from landmark_ops.selection.landmarks import Landmarks, equal_weights
from landmark_ops.selection.request import Request
from landmark_ops.selection.usable_rows import unusable_rows, usable

SPARE = 64  # rows drawn beyond twice the count, to replace unusable ones
GROWTH = 4  # each further draw is so many times longer
MOST_DRAWN = 1 << 22  # most rows read before a source is called unusable
READ_ROWS = 1 << 13  # replacements read together


def draw_rows(ask: Request, m: int, least: int) -> Landmarks:
    """`m` rows in random order, whatever `ask.count` is; fewer, but at least `least`, where no more are usable.

    Raises InputError where there are fewer usable rows than that.
    """
    n = ask.rows.n
    order = first_draw(n, m, ask.seed)
    ask.plan(sum(stop - start for start, stop in cells(ask.rows, order[:m])))
    kept: list[NDArray[np.int64]] = []
    points = []
    missing, at, further = m, 0, 0
    while missing:
        take = order[at : at + (m if at == 0 else max(m, READ_ROWS))]
        if len(take) == 0:
            further += 1
            order = longer_draw(order, n, m, ask.seed, further)
            if len(order) == at and m - missing >= least:
                m -= missing
                break
            if len(order) == at:
                raise InputError(
                    f"{ask.rows.uri}: only {m - missing} usable rows among {at} of {n} looked at, {Word.COUNT} is "
                    f"{ask.count}: clean the source, or lower {Word.COUNT}"
                )
            continue
        found = gather(ask.rows, take, ask.engine, ask.done if at == 0 else None)
        ok = usable(found, ask.metric)
        if not ok.all() and not ask.skip_bad_rows:
            raise unusable_rows(found, take, ask.metric, f"{ask.rows.uri}, rows drawn as landmarks")
        kept.append(take[ok][:missing])
        points.append(found[ok][:missing])
        missing -= len(kept[-1])
        at += len(take)
    replaced = f", {at - m} more looked at to replace unusable ones" if at > m else ""
    note = f"uniform: {m} of {n} rows without replacement{replaced}"
    return Landmarks(np.concatenate(kept), np.concatenate(points), equal_weights(n, m), note)


def first_row(ask: Request) -> Landmarks:
    """One usable row drawn uniformly: where maxmin and kmeans start."""
    return draw_rows(replace(ask, count=1, done=None, planned=None), 1, 1)


def first_draw(n: int, m: int, seed: int) -> NDArray[np.int64]:
    """A random order of min(n, 2 m + 64) of n rows."""
    return generator(seed, Stream.LANDMARKS).choice(n, min(n, 2 * m + SPARE), replace=False)


def longer_draw(order: NDArray[np.int64], n: int, m: int, seed: int, further: int) -> NDArray[np.int64]:
    """`order` continued by rows not yet in it, up to all n rows or the limit; unchanged once that is reached."""
    size = min(n, GROWTH * len(order), max(MOST_DRAWN, GROWTH * m))
    if size <= len(order):
        return order
    drawn = generator(seed, Stream.LANDMARKS_LONGER, further).choice(n, size, replace=False)
    return np.concatenate([order, drawn[~np.isin(drawn, order)]])
