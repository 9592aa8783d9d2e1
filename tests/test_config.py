"""Configs: accepted values, and the one line that refuses others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from landmark_ops.configs.detect import DetectConfig
from landmark_ops.configs.embed import CompareConfig, EmbedConfig, load_config, load_config_as, parse_config
from landmark_ops.errors import InputError
from landmark_ops.methods.landmark_mds import LandmarkMDSConfig
from landmark_ops.methods.nystroem import NystroemConfig
from landmark_ops.solver.section import METHODS

BASE = "source: {uri: in.zarr}\noutput: {uri: out.zarr}\n"


CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


def refuse(text: str, match: str, overrides: tuple[str, ...] = ()) -> str:
    """The one line that answers `text`, matching `match` from its start."""
    with pytest.raises(InputError, match=f"^{match}$") as found:
        parse_config(text, overrides)
    message = str(found.value)
    assert "\n" not in message
    return message


def test_the_smallest_config():
    config = parse_config(BASE)
    assert config.source.uri == "in.zarr"
    assert config.method == LandmarkMDSConfig()
    assert (config.landmarks.count, config.landmarks.strategy, config.landmarks.seed) == (None, "uniform", 0)
    assert config.output.overwrite is False
    assert config.source.bad_rows == config.source.missing_chunks == "error"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_our_own_configs(path):
    """configs/ is what people start from. Those of detect and compare have a schema of their own."""
    sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    model = DetectConfig if "detector" in sections else CompareConfig if "compare" in sections else EmbedConfig
    assert load_config_as(model, path).source.uri


def test_there_are_configs():
    assert "demo.yaml" in [path.name for path in CONFIGS]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (BASE + "sorce: 3", r"config: sorce is no known key: did you mean source\?"),
        (
            BASE + "zzz: 3",
            "config: zzz is no known key: valid here: cluster, compare, landmarks, map, method, methods, output, "
            "report, source, target",
        ),
        ("source: {uri: a, arary: x}\noutput: {uri: b}", r"config: source.arary is no known key: did you mean array\?"),
        ("source: {uri: a}\noutput: {uri: b, overwrit: 1}", r"config: output.overwrit .* did you mean overwrite\?"),
        (BASE + "landmarks: {cuont: 3}", r"config: landmarks.cuont is no known key: did you mean count\?"),
        (BASE + "method: {n_component: 3}", r"config: method.n_component is no .* did you mean n_components\?"),
        (BASE + "method: {name: nystroem, metric: x}", "config: method.metric is no known key: valid here: coef0, .*"),
        (BASE + "method: {name: nystroem, gama: 1}", r"config: method.gama is no known key: did you mean gamma\?"),
        (BASE + "cluster: {worker: 2}", r"config: cluster.worker is no known key: did you mean workers\?"),
        (BASE + "report: {smaple: 2}", r"config: report.smaple is no known key: did you mean sample\?"),
        (BASE + "a: 1\nb: 2", r"config: a is no known key: .* \(and 1 more\)"),
    ],
)
def test_unknown_keys(text, match):
    refuse(text, match)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{}", r"config: source is missing \(and 1 more\)"),
        ("source: {uri: a}", "config: output is missing"),
        ("source: {}\noutput: {uri: b}", r"config: source\.uri is missing"),
        ("", "config: holds nothing, needs a mapping with source: and output:"),
        ("- a\n- b", "config: holds list, needs a mapping with source: and output:"),
        ("just words", "config: holds str, needs a mapping with source: and output:"),
    ],
)
def test_missing_keys(text, match):
    refuse(text, match)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("source: in.zarr\noutput: {uri: b}", r"config: source: input should be a valid dictionary .*, got 'in\.zarr'"),
        ("source: {uri: 3}\noutput: {uri: b}", r"config: source\.uri: input should be a valid string, got 3"),
        (
            "source: {uri: a, bad_rows: drop}\noutput: {uri: b}",
            r"config: source\.bad_rows: .*'error' or 'mark'.*'drop'",
        ),
        (
            "source: {uri: a}\noutput: {uri: b, store: csv}",
            r"config: output\.store: input should be 'zarr'.*, got 'csv'",
        ),
        (BASE + "cluster:", "config: cluster: input should be a valid dictionary .*, got None"),
        (BASE + "landmarks: {count: 0}", r"config: landmarks\.count: input should be greater than 0, got 0"),
        (BASE + "landmarks: {count: 1.5}", r"config: landmarks\.count: input should be a valid integer.*, got 1\.5"),
        (BASE + "landmarks: {count: many}", r"config: landmarks\.count: input should be a valid integer.*'many'"),
        (
            BASE + "landmarks: {seed: -1}",
            r"config: landmarks\.seed: input should be greater than or equal to 0, got -1",
        ),
        (
            BASE + "landmarks: {strategy: best}",
            r"config: landmarks\.strategy: input should be 'uniform', .*, got 'best'",
        ),
        (BASE + "landmarks: {strategy: given, indices: [a]}", r"config: landmarks\.indices\.0: .* integer.*, got 'a'"),
        (BASE + "method: nystroem", "config: method: input should be a valid dictionary .*, got 'nystroem'"),
        (BASE + "method: {n_components: 0}", r"config: method\.n_components: input should be greater than 0, got 0"),
        (
            BASE + "method: {metric_params: {V: !!timestamp 2020-01-01}}",
            r"config: method\.metric_params\.V: .*JSON value.*date.*",
        ),
        (BASE + "report: {sample: 99}", r"config: report\.sample: .* greater than or equal to 100, got 99"),
        (BASE + "landmarks: {count: 0, seed: -1}", r"config: landmarks\.count: .*, got 0 \(and 1 more\)"),
    ],
)
def test_impossible_values(text, match):
    refuse(text, match)


@pytest.mark.parametrize(
    ("landmarks", "match"),
    [
        ("{strategy: given}", r"strategy: given needs either indices: \[row, \.\.\.\] or points: file\.npy"),
        ("{strategy: given, indices: [1], points: a.npy}", "strategy: given needs either .*"),
        ("{indices: [1]}", "indices and points belong to strategy: given, not uniform"),
        ("{strategy: kmeans, points: a.npy}", "indices and points belong to strategy: given, not kmeans"),
    ],
)
def test_given_landmarks(landmarks, match):
    refuse(BASE + f"landmarks: {landmarks}", f"config: landmarks: {match}")


@pytest.mark.parametrize(
    ("key", "section"),
    [
        ("method", "{n_components: 3}"),
        ("methods", "[{n_components: 3}]"),
        ("landmarks", "{count: 30}"),
        ("landmarks", "{}"),
        ("target", "{array: y}"),
    ],
)
def test_rows_are_placed_by_a_stored_map_or_by_a_new_fit(key, section):
    refuse(
        BASE + f"map: out/fit.zarr\n{key}: {section}",
        rf"config: map and {key}: rows are placed by a stored map or by a new fit: give one of both",
    )


def test_a_config_with_a_map_is_read_again():
    config = parse_config(BASE + "map: out/fit.zarr")
    written = config.model_dump(mode="json")
    assert not {"method", "methods", "landmarks", "target"} & written.keys()
    assert EmbedConfig.model_validate(written) == config


@pytest.mark.parametrize("shape", ["[8]", "[8, 8, 2]", "[8, 8, 3, 1]", "[]"])
def test_thumbnails_are_pictures(shape):
    refuse(
        BASE + f"report: {{thumbnail: {shape}}}", r"config: report: thumbnail: \[.*\] is no picture: give \[height.*"
    )


@pytest.mark.parametrize("shape", ["[8, 8]", "[8, 8, 1]", "[8, 8, 3]", "[8, 8, 4]"])
def test_thumbnails(shape):
    assert parse_config(BASE + f"report: {{thumbnail: {shape}}}").report.thumbnail == tuple(json.loads(shape))


@pytest.mark.parametrize("name", METHODS.names)
def test_every_method_by_name(name):
    target = "target: {array: y}\n" if METHODS[name].supervised else ""
    assert type(parse_config(BASE + target + f"method: {{name: {name}}}").method) is METHODS[name]


def test_a_method_without_a_name_is_landmark_mds():
    method = parse_config(BASE + "method: {n_components: 3, metric: cosine}").method
    assert method == LandmarkMDSConfig(n_components=3, metric="cosine")
    assert parse_config(BASE + "method: {name: nystroem}").method == NystroemConfig(name="nystroem")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("nystrom", r"'nystrom' is unknown: did you mean nystroem\?"),
        ("LandmarkMDS", r"'LandmarkMDS' is unknown: did you mean landmark_mds\?"),
        (
            "zzz",
            r"'zzz' is unknown: did you mean landmark_diffusion_map or .* or spectral_embedding\?",
        ),
        ("3", "3 is unknown: .*"),
        ("null", "None is unknown: .*"),
        ("[a]", r"\['a'\] is unknown: .*"),
        ("{a: 1}", r"\{'a': 1\} is unknown: .*"),
    ],
)
def test_unknown_methods(name, match):
    refuse(BASE + f"method: {{name: {name}}}", rf"config: method\.name: {match}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4GiB", 4 << 30),
        ("4 GiB", 4 << 30),
        ("4gib", 4 << 30),
        ("1.5GiB", 3 << 29),
        ("1TiB", 1 << 40),
        ("512MiB", 512 << 20),
        ("64KiB", 64 << 10),
        ("500MB", 500_000_000),
        ("2GB", 2 * 10**9),
        ("1TB", 10**12),
        ("3k", 3000),
        ("512B", 512),
        ("4096", 4096),
        (4096, 4096),
    ],
)
def test_sizes(text, expected):
    assert parse_config(BASE + f"cluster: {{memory: {text}}}").cluster.memory == expected


@pytest.mark.parametrize("text", ["four", "4XB", "GiB", "4GiBs", "nan", "inf", "infGiB", "1e999", "''", "4 4GB"])
def test_no_sizes(text):
    refuse(
        BASE + f"cluster: {{memory: {text!r}}}", r"config: cluster\.memory: .* is no size: write e\.g\. 4GiB or 500MB"
    )


@pytest.mark.parametrize("text", ["0", "-4GiB", "0.1"])
def test_sizes_are_positive(text):
    refuse(BASE + f"cluster: {{memory: '{text}'}}", r"config: cluster\.memory: input should be greater than 0, got .*")


def test_overrides():
    config = parse_config(
        BASE + "landmarks: {count: 5}",
        ["landmarks.count=500", "method.name=nystroem", "source.uri=s3://lake/x=y.zarr", "report.thumbnail=[8, 8]"],
    )
    assert config.landmarks.count == 500
    assert config.method == NystroemConfig(name="nystroem")
    assert config.source.uri == "s3://lake/x=y.zarr"
    assert config.report.thumbnail == (8, 8)
    assert parse_config(BASE, ["landmarks.count=1", "landmarks.count=2"]).landmarks.count == 2
    assert parse_config(BASE, ["cluster={workers: 3}"]).cluster.workers == 3
    assert parse_config(BASE + "landmarks: {count: 5}", ["landmarks.count="]).landmarks.count is None


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("landmarks", r"--set landmarks: write it as key\.path=value, e\.g\. --set landmarks\.count=500"),
        ("=3", "--set =3: write it as .*"),
        ("landmarks.=3", "--set landmarks.=3: write it as .*"),
        ("source.uri.x=3", r"--set source\.uri\.x=3: uri is a value, it has no keys of its own"),
        ("landmarks.count=[", r"--set landmarks\.count=\[: not plain YAML at line 1: expected the node content.*"),
        ("landmarks.count=2024-13-01", r"config: landmarks\.count: .* valid integer.*, got '2024-13-01'"),
        ("landmarks={count: 1, count: 2}", "--set .*: not plain YAML at line 1: key 'count' is given twice"),
        ("landmarks.count=!!python/name:os.system", "--set .*: not plain YAML at line 1: could not determine .*"),
        ("landmarks.cuont=3", r"config: landmarks\.cuont is no known key: did you mean count\?"),
        ("landmarks.count=x", r"config: landmarks\.count: .*, got 'x'"),
    ],
)
def test_bad_overrides(override, match):
    refuse(BASE, match, (override,))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("source: {uri: a}\nsource: {uri: b}", r"config: not plain YAML at line 2: key 'source' is given twice"),
        (BASE + "method:\n  metric: a\n  metric: b", r"config: not plain YAML at line 5: key 'metric' is given twice"),
        ("a: [1", "config: not plain YAML at line 1: .*"),
        ("a: b: c", "config: not plain YAML at line 1: mapping values are not allowed here"),
        ("\ta: 1", "config: not plain YAML at line 1: found character .*"),
        ("a: \x00", "config: not plain YAML: special characters are not allowed"),
        ("a: !!timestamp 2024-13-01", r"config: not plain YAML: month must be in 1\.\.12"),
        ("a: !!int ''", "config: not plain YAML at line 1: '' is no integer"),
        ("a: !!bool perhaps", "config: not plain YAML: 'perhaps'"),
        ("? [a]\n: b", "config: not plain YAML at line 1: found unhashable key"),
        ("[" * 5000, "config: not plain YAML at line 1: nested deeper than 50 levels"),
        ("a: &a [*a]", "config: .*"),
    ],
)
def test_what_is_not_plain_yaml(text, match):
    refuse(text, match)


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch CANARY']",
        "!!python/object/apply:subprocess.check_call [[touch, CANARY]]",
        "!!python/object/new:os.system ['touch CANARY']",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/object:pathlib.Path {}",
        "!CANARY x",
    ],
)
def test_tags_construct_nothing(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in (f"source: {value}", f"{value}", f"? {value}\n: 1"):
        refuse(text, "config: not plain YAML at line 1: could not determine a constructor for the tag .*")
    assert list(tmp_path.iterdir()) == []


def test_targets_are_unknown_keys():
    """What some config libraries would call."""
    refuse(BASE + "method: {_target_: os.system}", r"config: method\._target_ is no known key: .*")


def test_files(tmp_path):
    path = tmp_path / "run.yaml"
    with pytest.raises(InputError, match=r"^config .*run\.yaml: cannot be read: No such file or directory$"):
        load_config(path)
    path.write_bytes(b"source: \xff")
    with pytest.raises(InputError, match=r"run\.yaml: cannot be read: it is not UTF-8 text$"):
        load_config(path)
    with pytest.raises(InputError, match=r"cannot be read: Is a directory$"):
        load_config(tmp_path)
    path.write_text(BASE + "landmark: 3")
    with pytest.raises(InputError, match=rf"^{path}: landmark is no known key: did you mean landmarks\?$"):
        load_config(path)
    path.write_text(BASE, encoding="utf-8")
    assert load_config(str(path), ["landmarks.seed=4"]).landmarks.seed == 4


def test_configs_are_immutable():
    config = parse_config(BASE)
    with pytest.raises(ValidationError, match="frozen"):
        config.landmarks.count = 3


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("method: {n_components: 2}\nmethods: [{n_components: 2}]", "config: method and methods: give one .*"),
        ("methods: []", "config: methods: the list is empty: .*"),
        ("methods: [{name: zzz}]", r"config: method\.name: 'zzz' is unknown: .*"),
        ("methods: [{name: nystroem, kernal: rbf}]", r"config: methods\.0\.kernal is no known key: did you mean .*\?"),
        ("method: {name: sparse_gp}", "config: method sparse_gp learns from a target: give target: .*"),
        ("target: {array: y}", "config: target: only nystroem_ridge and sparse_gp learn from one: leave it out"),
        ("method: {name: sparse_gp}\ntarget: {held_out: 0.2}", "config: target: names nothing: give array, .*"),
        ("landmarks: {tolerance: 0.1}", "config: landmarks: tolerance belongs to strategy: rpcholesky, not uniform"),
    ],
)
def test_methods_and_targets_that_do_not_go_together(text, match):
    refuse(BASE + text, match)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["source", "output", "method", "name", "uri", "landmarks", "count", "memory", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_anything_is_a_config_or_one_line(data):
    message = ""
    try:
        parse_config(yaml.safe_dump(data))
    except InputError as error:
        message = str(error)
    assert "\n" not in message
