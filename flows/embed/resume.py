"""Take up an interrupted run: landmarks and solution as the output holds them, and which chunks are whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flows.base.stage import stage
from flows.embed.run import MethodOutput, Run
from flows.embed.solved_method import ChosenLandmarks, SolvedMethod
from landmark_ops.errors import InputError, RunError
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.passes.extension import reread_block
from landmark_ops.passes.stored_map import load_map
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.strategy import STRATEGIES
from landmark_ops.solver.method import Solution
from landmark_ops.stores.embeddings.records import ChunkRecords
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.sources.rows import Rows
from landmark_ops.stores.sources.source import open_rows


def load_landmarks(solved: SolvedMethod) -> ChosenLandmarks:
    """The landmarks as selected for another method of the same run, with the kernel they were chosen by, if any."""
    block = solved.solution.map.block
    by_kernel = STRATEGIES[solved.output.config.landmarks.strategy].by_kernel
    return ChosenLandmarks(solved.landmarks, block if by_kernel and isinstance(block, Kernel) else None)


def load_solved(output: MethodOutput, rows: Rows) -> SolvedMethod:
    """The method as solved, with the rows' own blocks where it has them, and the chunks on record."""
    store = output.store
    known = store.read_attributes()
    landmarks, solution = load_solution(store, known)
    solution = solution._replace(blocks=open_blocks(known.get("blocks"), store.uri))
    records = ChunkRecords.load(store, rows.n, solution.map.n_components, int(known["chunk_rows"]))
    return SolvedMethod(output, landmarks, solution, str(known["map_sha256"]), records)


def load_solution(store: EmbeddingStore, known: Mapping[str, Any]) -> tuple[Landmarks, Solution]:
    """Landmarks and solution as an output with attributes `known` holds them; the map is checked against its hash."""
    arrays: dict[str, Any] = store.get("landmarks")
    landmarks = Landmarks(arrays["indices"], arrays["points"], arrays["weights"], str(known["selection"]))
    solution = Solution(
        load_map(store, str(known["map_sha256"])),
        np.asarray(arrays["embedding"], np.float64),
        np.asarray(arrays["eigenvalues"], np.float64),
        np.asarray(arrays["spectrum"], np.float64),
        int(known["rank"]),
        float(known["negative_mass"]),
        float(known["cutoff"]),
        tuple(known["warnings"]),
        known.get("facts", {}),
    )
    return landmarks, solution


def open_blocks(uri: str | None, output: str) -> Rows | None:
    """The rows' own blocks of an interrupted run; RunError where they have been deleted meanwhile."""
    if uri is None:
        return None
    try:
        return open_rows(uri, missing_chunks="error")
    except InputError as error:
        raise RunError(
            f"{output}: the geodesics this unfinished run was placing rows by are gone ({uri}): run again with "
            "output.overwrite: true"
        ) from error


@stage("verify")
def verify_stage(run: Run, records: ChunkRecords) -> int:
    """On resume: compare every committed chunk with its hash; those that differ will be computed again."""
    committed = records.items(committed=True)
    lost = 0
    with run.progress.stage("verify", sum(item.size for item in committed)):
        for item, found in run.engine.imap(reread_block, committed, records.store, done=run.progress.rows_done):
            if found is not None and records.matches(item[0], found):
                records.set(item[0], found)  # a crash may have come between the columns of the table
            else:
                records.drop(item[0])
                lost += 1
    return lost
