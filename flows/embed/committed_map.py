"""The commit map stage: from here on an interrupted run can be resumed."""

from __future__ import annotations

from collections.abc import Mapping

from flows.base.stage import stage
from flows.embed.plan import Plan
from flows.embed.run import MethodOutput, Run
from flows.embed.solved_method import ChosenLandmarks, SolvedMethod
from landmark_ops.solver.method import Solution
from landmark_ops.stores.embeddings.records import ChunkRecords


@stage("commit map")
def commit_map(run: Run, output: MethodOutput, chosen: ChosenLandmarks, solution: Solution, plan: Plan) -> SolvedMethod:
    """Store landmarks, spectrum and map, and allocate the arrays."""
    store, landmarks = output.store, chosen.landmarks
    sha256 = store.put_map(*solution.map.to_state())
    store.put(
        "landmarks",
        {
            "indices": landmarks.indices,
            "points": landmarks.points,
            "embedding": solution.embedding,
            "eigenvalues": solution.eigenvalues,
            "spectrum": solution.spectrum,
            "weights": landmarks.weights,
        },
        {
            "indices": ("landmark",),
            "points": ("landmark", "feature"),
            "embedding": ("landmark", "component"),
            "eigenvalues": ("component",),
            "spectrum": ("eigenvalue",),
            "weights": ("landmark",),
        },
    )
    head = solution.map.head
    k = solution.map.n_components
    store.allocate(
        run.rows.n, k, plan.step, None if head is None else head.arrays, None if head is None else head.undefined
    )
    store.update(
        rank=solution.rank,
        negative_mass=solution.negative_mass,
        cutoff=solution.cutoff,
        selection=landmarks.note,
        warnings=list(solution.warnings),
        facts=dict(solution.facts),
        collapsed=solution.map.collapsed,
        chunk_rows=plan.step,
        **({} if head is None else {"undefined_values": without_nan(head.undefined)}),
        blocks=None if solution.blocks is None else solution.blocks.uri,
        map_sha256=sha256,
    )
    return SolvedMethod(output, landmarks, solution, sha256, ChunkRecords(store, run.rows.n, k, plan.step))


def without_nan(undefined: Mapping[str, float]) -> dict[str, float | str]:
    """The values that mark rows without coordinates, as JSON holds them."""
    return {name: "NaN" if value != value else value for name, value in undefined.items()}
