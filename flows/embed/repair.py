"""`landmarks repair CONFIG`: damaged chunks of a complete embedding computed anew by its stored map from its source."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flows.base.progress import Progress
from flows.base.workers import open_engine
from flows.embed.inputs import check_unchanged, lock_place, open_run
from flows.embed.resume import load_work
from flows.embed.run import Part
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.engine.protocol import Engine
from landmark_ops.errors import DamagedError, InputError
from landmark_ops.passes.extension import extend_block
from landmark_ops.passes.verification import verify_embedding
from landmark_ops.stores.lock import OutputLock
from landmark_ops.stores.sources.rows import Rows

ANEW = "set output.overwrite: true and run `landmarks embed` to make the embedding anew"


class Repaired(NamedTuple):
    """What was done to one embedding."""

    uri: str
    rows: int  # of the chunks computed anew
    chunks: int
    metadata: int  # files put back


def repair(config: EmbedConfig, progress: Progress) -> list[Repaired]:
    """Put back what is damaged of the outputs of a run, each chunk as it was committed.

    Raises InputError where there is no complete embedding of this source and config, DamagedError where what rows are
    placed by is damaged itself.
    """
    config = config.model_copy(update={"output": config.output.model_copy(update={"overwrite": False})})
    opened = open_run(config)
    for part in opened.parts:
        if part.state != "complete":
            raise InputError(
                f"output {part.store.uri}: no complete embedding is there to repair: run `landmarks embed` instead"
            )
    with OutputLock(lock_place(config, opened)) as held, open_engine(config.cluster, opened.rows.nbytes) as engine:
        check_unchanged(opened)
        for part in opened.parts:
            part.store = part.store.fenced(held.fence)
        return [repair_part(part, opened.rows, engine, progress) for part in opened.parts]


def repair_part(part: Part, rows: Rows, engine: Engine, progress: Progress) -> Repaired:
    """One method's embedding: metadata from the group's, rows from the source."""
    store = part.store
    restored = store.restore_metadata()
    with progress.stage("verify", rows.n):
        damages = verify_embedding(store, engine, progress.rows_done).damaged
    lost = [damage for damage in damages if damage.rows is None]
    if lost:
        raise DamagedError(
            f"{store.uri}: {lost[0].key} {lost[0].what}: it cannot be computed from the map, only rows can: {ANEW}"
        )
    items = sorted({damage.rows for damage in damages if damage.rows is not None})
    if not items:
        return Repaired(store.uri, 0, 0, restored)
    work = load_work(part, rows)
    nothing = np.zeros(0, np.int64)
    with progress.stage("repair", sum(item.size for item in items)):
        for item, extended in engine.imap(extend_block, items, rows, (work.output,), nothing, done=progress.rows_done):
            if not work.records.matches(item[0], extended.written[0]):
                raise DamagedError(
                    f"{store.uri}: {item} computed anew are not those that were committed (rounding "
                    f"of another machine, or a source that changed without showing it): {ANEW}"
                )
    return Repaired(store.uri, sum(item.size for item in items), len(items), restored)
