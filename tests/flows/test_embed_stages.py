"""The stages of embed one by one, on threads and without Prefect: each is a function of its arguments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flows.base.progress import Progress
from flows.embed.attributes import attributes as initial_attributes
from flows.embed.committed_map import commit_map
from flows.embed.completion import complete_stage
from flows.embed.extension import extend_stage
from flows.embed.inputs import open_run
from flows.embed.plan import make_plan
from flows.embed.resume import load_landmarks, load_solved, verify_stage
from flows.embed.run import Run
from flows.embed.sample import sample_indices
from flows.embed.selection import select_stage
from flows.embed.solution import solve_stage
from landmark_ops import open_map
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.engine.threads import LocalEngine
from tests.flows.running import arrays, attributes, make_config, points, write_npy


def test_stages_hand_over_all_that_the_next_one_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landmark_ops.passes.ranges.TASK_BYTES", 1 << 10)
    X, uri = points(), tmp_path / "out.zarr"
    config = EmbedConfig.model_validate(make_config(write_npy(tmp_path / "x.npy", X), uri))
    opened = open_run(config)
    assert opened.state == "new"
    [output] = opened.outputs
    plan, progress = make_plan(config, opened.rows), Progress()
    run = Run(config, opened.rows, opened.fingerprint, opened.targets, LocalEngine(2), progress)
    output.store.create(initial_attributes(output, opened))

    chosen = select_stage.fn(run, opened, plan)
    np.testing.assert_array_equal(chosen.landmarks.points, X[chosen.landmarks.indices])
    [solution] = solve_stage.fn(run, [output], chosen, opened.earlier, plan)
    solved = commit_map.fn(run, output, chosen, solution, plan)
    again = load_solved(output, opened.rows)
    assert again.sha256 == solved.sha256
    np.testing.assert_array_equal(load_landmarks(again).landmarks.indices, chosen.landmarks.indices)

    [sample] = extend_stage.fn(run, [solved], sample_indices(config, opened))
    np.testing.assert_array_equal(sample.rows, X[sample.indices])
    np.testing.assert_array_equal(sample.embedding, arrays(uri)[0][sample.indices])
    assert len(solved.records.items(committed=True)) == plan.tasks > 1
    assert verify_stage.fn(run, solved.records) == 0

    assert attributes(uri)["status"] == "partial"
    complete_stage.fn(run, solved, {}, 0, {})
    assert attributes(uri)["status"] == "complete"
    assert [stage.name for stage in progress.stages] == ["select", "solve", "extend", "verify"]
    np.testing.assert_allclose(open_map(str(uri))(X), arrays(uri)[0], rtol=1e-5, atol=1e-5)
    assert open_run(config).state == "complete"
