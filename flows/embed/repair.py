"""`landmarks repair CONFIG`: damaged chunks of a complete embedding computed anew by its stored map from its source."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flows.base.progress import Progress
from flows.base.workers import open_engine
from flows.embed.inputs import check_unchanged, lock_place, open_run
from flows.embed.resume import load_solved
from flows.embed.run import MethodOutput
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

    Raises InputError where there is no complete embedding of this source and config, DamagedError where the map itself
    is damaged.
    """
    config = config.model_copy(update={"output": config.output.model_copy(update={"overwrite": False})})
    opened = open_run(config)
    for output in opened.outputs:
        if output.state != "complete":
            raise InputError(
                f"output {output.store.uri}: no complete embedding is there to repair: run `landmarks embed` instead"
            )
    with OutputLock(lock_place(config, opened)) as held, open_engine(config.cluster, opened.rows.nbytes) as engine:
        check_unchanged(opened)
        for output in opened.outputs:
            output.store = output.store.fenced(held.fence)
        return [repair_output(output, opened.rows, engine, progress) for output in opened.outputs]


def repair_output(output: MethodOutput, rows: Rows, engine: Engine, progress: Progress) -> Repaired:
    """Repair one method's embedding: metadata of arrays from the group's, rows from the source."""
    store = output.store
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
    solved = load_solved(output, rows)
    nothing = np.zeros(0, np.int64)
    with progress.stage("repair", sum(item.size for item in items)):
        common = (rows, (solved.destination,), nothing)
        for item, extended in engine.imap(extend_block, items, *common, done=progress.rows_done):
            if not solved.records.matches(item[0], extended.written[0]):
                raise DamagedError(
                    f"{store.uri}: {item} computed anew are not those that were committed (rounding "
                    f"of another machine, or a source that changed without showing it): {ANEW}"
                )
    return Repaired(store.uri, sum(item.size for item in items), len(items), restored)
