"""A strategy registered from outside, in one file, is known to every command and from Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cli.plan import describe_plan
from landmark_ops import InputError, LandmarkMDS, select_landmarks
from landmark_ops.configs.embed import CompareConfig, EmbedConfig
from landmark_ops.report.compare.picture import look_of
from landmark_ops.selection.strategy import STRATEGIES, Strategy
from tests.flows.running import landmark_indices, make_config, points, run_embed, write_npy

X = points()


@pytest.fixture
def every() -> Iterator[Strategy]:
    from tests.toys.toy_strategy import EVERY

    if "every" not in STRATEGIES:
        STRATEGIES.register(EVERY)
    yield EVERY
    STRATEGIES.unregister("every")


def read_passes(config: dict[str, object]) -> int:
    (line,) = (line for line in describe_plan(EmbedConfig.model_validate(config)) if line.startswith("read"))
    return int(line.split(" in ")[1].split()[0])


@pytest.mark.usefixtures("every")
def test_from_python() -> None:
    assert select_landmarks(X, 40, "every").indices.tolist() == list(range(0, 400, 10))
    fitted = LandmarkMDS(2, n_landmarks=40, selection="every").fit(X)
    assert fitted.landmark_indices_.tolist() == list(range(0, 400, 10))


@pytest.mark.usefixtures("every")
def test_in_a_config_and_its_plan(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    uniform = read_passes(config)
    config["landmarks"] = {"count": 40, "strategy": "every"}
    assert read_passes(config) == uniform + 3
    run_embed(config)
    assert landmark_indices(tmp_path / "out.zarr").tolist() == list(range(0, 400, 10))


@pytest.mark.usefixtures("every")
def test_in_a_comparison(tmp_path: Path) -> None:
    from flows.compare.flow import compare

    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    config |= {"compare": {"counts": [10], "repeats": 1}}
    lines = compare(CompareConfig.model_validate(config))["lines"]
    assert any(line.startswith("every ") for line in lines)
    trials = json.loads((tmp_path / "out.compare" / "compare.json").read_text())["trials"]
    assert [trial["strategy"] for trial in trials][-1] == "every"  # those that name no order come last
    assert [trial["evaluations"] for trial in trials if trial["strategy"] == "every"] == [7]
    assert look_of("every") == ("#112233", "*")


def test_schemas_name_what_is_registered(every: Strategy) -> None:
    schema = EmbedConfig.model_json_schema()
    assert schema["$defs"]["LandmarksConfig"]["properties"]["strategy"]["enum"][-1] == "every"
    STRATEGIES.unregister("every")
    schema = EmbedConfig.model_json_schema()
    assert "every" not in schema["$defs"]["LandmarksConfig"]["properties"]["strategy"]["enum"]
    with pytest.raises(ValueError, match=r"Input should be 'uniform', .*or 'given'"):
        EmbedConfig.model_validate(make_config("x.npy", "out.zarr") | {"landmarks": {"strategy": "every"}})
    with pytest.raises(InputError, match=r"^strategy 'every' is unknown: choose one of uniform, maxmin"):
        select_landmarks(X, 40, "every")
    STRATEGIES.register(every)
