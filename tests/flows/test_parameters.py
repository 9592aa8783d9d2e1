"""Prefect takes the configs of the command line as parameters, under the checks of its server and its form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect.utilities.schema_tools import is_valid_schema, validate

from flows.base.pipeline import Nowhere
from flows.compare.flow import compare
from flows.detect.flow import detect
from flows.embed.flow import embed
from landmark_ops.configs.detect import DetectConfig
from landmark_ops.configs.embed import CompareConfig, EmbedConfig, parse_config_as
from landmark_ops.configs.plain_yaml import parse_yaml
from landmark_ops.configs.section import Section
from landmark_ops.errors import InputError
from landmark_ops.solver.section import METHODS

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
FLOWS: dict[type[Section], Any] = {EmbedConfig: embed, DetectConfig: detect, CompareConfig: compare}
PLACES = "source: {uri: in.zarr}\noutput: {uri: out.zarr}\n"


def schema_of(model: type[Section]) -> dict[str, Any]:
    """What a deployment of the flow of this config records."""
    found: dict[str, Any] = FLOWS[model].parameters.model_dump_for_openapi()
    return found


def filled(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """`value` as Prefect's form sends it: it fills in every default that is named by the schema, at every depth."""
    if "$ref" in schema:
        schema = {**definitions[schema["$ref"].rpartition("/")[2]], **schema}
    for one in schema.get("anyOf", ()):
        if "$ref" in one and isinstance(value, dict):
            kind = definitions[one["$ref"].rpartition("/")[2]]
            name = kind["properties"].get("name", {}).get("const")
            if name is None or name == value.get("name", "landmark_mds"):
                return filled(value, kind, definitions)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [filled(one, schema["items"], definitions) for one in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    whole = {**{k: one["default"] for k, one in schema["properties"].items() if "default" in one}, **value}
    return {key: filled(one, schema["properties"][key], definitions) for key, one in whole.items()}


def taken(model: type[Section], data: Any) -> Any:
    """The config that a run gets; a server checks its parameters when it is deployed and when it is started."""
    parameters = {"config": json.loads(json.dumps(data, allow_nan=False))}
    schema = schema_of(model)
    validate(parameters, schema, raise_on_error=True, ignore_required=True)
    validate(parameters, schema, raise_on_error=True)
    return FLOWS[model].validate_parameters(parameters)["config"]


def same_everywhere(model: type[Section], text: str) -> None:
    """As read from a file, given to a deployment, written down by ourselves, and completed by the form."""
    config = parse_config_as(model, text)
    data = parse_yaml(text, "config")
    schema = schema_of(model)
    form = filled({"config": data}, schema, schema["definitions"])
    for one in (data, config.model_dump(mode="json"), form["config"]):
        assert taken(model, one) == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_our_own_configs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    sections = parse_yaml(text, "config")
    same_everywhere(
        DetectConfig if "detector" in sections else CompareConfig if "compare" in sections else EmbedConfig, text
    )


@pytest.mark.parametrize(
    "text",
    [
        "method: {n_components: 3}",  # no name: Landmark MDS
        "method: {}",
        "methods: [{n_components: 3}, {name: nystroem, gamma: 1}, {name: spectral_embedding}]",
        "cluster: {memory: 4GiB, workers: 2}",
        "cluster: {memory: 4e9}",
        "cluster: {memory: 4000000000}",
        "landmarks: {strategy: rpcholesky, tolerance: 1e-3}",
        "landmarks: {strategy: given, indices: [1, 2, 3]}",
        "method: {metric: minkowski, metric_params: {p: 3, w: [1, 2.5]}}",
        "method: {name: sparse_gp, noise: 0.1}\ntarget: {array: y}",
        "report: {thumbnail: [8, 8, 3], kernel_error: sample}",
        "map: out/earlier.zarr",
        "map: null\nlandmarks: {count: 30}",
        "source: {uri: in.parquet, columns: [a, b], bad_rows: mark}\noutput: {uri: b, overwrite: true}",
    ],
)
def test_configs_of_embed(text: str) -> None:
    same_everywhere(EmbedConfig, text if "source:" in text else PLACES + text)


@pytest.mark.parametrize(
    "detector",
    [
        "pipeline: face-5",
        "{pipeline: face-5, thresholds: {score: 0.5, nms_iou: 1}}",
        "{boxes: {column: b}, landmarks: face-68}",
    ],
)
def test_configs_of_detect(detector: str) -> None:
    text = detector if detector.startswith("{") else f"{{{detector}}}"
    same_everywhere(DetectConfig, f"{PLACES}detector: {text}")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("landmarks: {count: '30'}", "config: landmarks.count: input should be a valid integer, got '30'"),
        ("landmarks: {count: true}", "config: landmarks.count: input should be a valid integer, got True"),
        ("output: {uri: b, overwrite: 1}", "config: output.overwrite: input should be a valid boolean, got 1"),
        (
            "output: {uri: b, overwrite: 'true'}",
            "config: output.overwrite: input should be a valid boolean, got 'true'",
        ),
        (
            "landmarks: {strategy: rpcholesky, tolerance: '1e-3'}",
            "config: landmarks.tolerance: input should be a valid number.*",
        ),
        ("report: {thumbnail: [8, '8']}", "config: report.thumbnail.1: input should be a valid integer, got '8'"),
    ],
)
def test_what_the_schema_refuses_the_command_line_refuses(text: str, match: str) -> None:
    """`count: yes` was one landmark."""
    whole = f"source: {{uri: a}}\n{text}" if "output" in text else PLACES + text
    with pytest.raises(InputError, match=f"^{match}$"):
        parse_config_as(EmbedConfig, whole)
    with pytest.raises(Exception, match="Validation failed"):
        validate({"config": parse_yaml(whole, "config")}, schema_of(EmbedConfig), raise_on_error=True)


NUMBERS = [0, 1, 2, 3, 100, 1000, 10**12, -1, 0.5, 1e-3, 2.0, 1e300]
WORDS = ["rbf", "euclidean", "uniform", "mark", "4GiB", "3", "1e-3", "yes", "exact", "largest", "vfe", "given", "", "é"]
scalars = st.sampled_from([None, True, False, *NUMBERS, *WORDS])
values = (
    scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.sampled_from(["p", "score", "x"]), scalars, max_size=2)
)


def section(model: Any, **fixed: Any) -> Any:
    """Some keys of a section, with values that may or may not be theirs."""
    keys = [key for key in model.model_fields if key not in fixed]
    return st.dictionaries(st.sampled_from(keys), values, max_size=3).map(lambda found: {**fixed, **found})


methods = st.sampled_from(METHODS.names).flatmap(lambda name: section(METHODS[name], name=name)) | section(
    METHODS["landmark_mds"]
)


def configs(model: Any, **fixed: Any) -> Any:
    """Whole configs with some sections given."""
    sections = {
        key: section(field.annotation)
        for key, field in model.model_fields.items()
        if key not in ("source", "output", "method", "methods", "target") and hasattr(field.annotation, "model_fields")
    }
    if "method" in model.model_fields:
        sections |= {"method": methods, "methods": st.lists(methods, min_size=1, max_size=2)}
    one = st.sampled_from(sorted(sections)).flatmap(lambda key: sections[key].map(lambda value: {key: value}))
    places = {"source": {"uri": "a"}, "output": {"uri": "b"}, **fixed}
    return st.lists(one, max_size=2).map(lambda parts: {k: v for part in [places, *parts] for k, v in part.items()})


@settings(max_examples=40, deadline=None)  # Prefect builds a model of its own for each
@given(
    st.tuples(st.just(EmbedConfig), configs(EmbedConfig))
    | st.tuples(st.just(CompareConfig), configs(CompareConfig))
    | st.tuples(st.just(DetectConfig), configs(DetectConfig, detector={"pipeline": "face-5"}))
)
def test_any_config_that_a_file_may_hold(case: Any) -> None:
    model, data = case
    text = yaml.safe_dump(data, allow_unicode=True)
    try:
        parse_config_as(model, text)
    except InputError:
        return
    same_everywhere(model, text)


@pytest.mark.parametrize("model", FLOWS, ids=lambda model: model.__name__)
def test_the_schema_itself(model: type[Section]) -> None:
    """Valid, without a reference that Prefect cannot follow, and with no alternative its form cannot draw."""
    is_valid_schema(schema_of(model))
    assert "oneOf" not in json.dumps(schema_of(model))


@pytest.mark.parametrize("flow", [embed, detect, compare], ids=lambda flow: flow.name)
def test_a_flow_travels_to_the_process_of_its_run(flow: Any) -> None:
    """A runner pickles it: its annotations must not be names of a module that is not there."""
    there = cloudpickle.loads(cloudpickle.dumps(flow.with_options(retries=2)))
    assert (there.name, there.retries, there.persist_result) == (flow.name, 2, False)
    parameters = {"config": {"source": {"uri": "a"}, "output": {"uri": "b"}, "detector": {"pipeline": "face-5"}}}
    if flow is not detect:
        del parameters["config"]["detector"]
    model = next(model for model, one in FLOWS.items() if one is flow)
    assert type(there.validate_parameters(parameters)["config"]) is model
    assert isinstance(there.result_storage, Nowhere)
