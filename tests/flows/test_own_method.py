"""A method registered from outside, in one file, is known to every command, their pages and the forms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flows.embed.plan import make_plan
from landmark_ops import InputError, open_map, open_rows
from landmark_ops.configs.embed import CompareConfig, EmbedConfig, parse_config
from landmark_ops.solver.section import METHODS
from tests.flows.running import arrays, attributes, make_config, points, run_embed, write_npy

X = points()


@pytest.fixture
def mirrored() -> Iterator[None]:
    from tests.toys.toy_method import MirroredMDSConfig

    if "mirrored_mds" not in METHODS:
        METHODS.register(MirroredMDSConfig)
    yield
    METHODS.unregister("mirrored_mds")


def configure(tmp_path: Path, name: str, out: str = "out.zarr") -> dict[str, object]:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / out)
    return config | {"method": {"name": name, "n_components": 3}}


@pytest.mark.usefixtures("mirrored")
def test_it_is_embedded_and_its_page_says_what_its_file_says(tmp_path: Path) -> None:
    run_embed(configure(tmp_path, "mirrored_mds"))
    run_embed(configure(tmp_path, "landmark_mds", "mds.zarr"))
    embedding, residual = arrays(tmp_path / "out.zarr")
    expected, left = arrays(tmp_path / "mds.zarr")
    np.testing.assert_array_equal(embedding, -expected)
    np.testing.assert_array_equal(residual, left)
    np.testing.assert_array_equal(open_map(tmp_path / "out.zarr")(X[:5]), embedding[:5])
    assert attributes(tmp_path / "out.zarr")["parameters"] == {"n_components": 3}
    page = (tmp_path / "out.report" / "index.html").read_text()
    for said in ("Mirrored MDS of ", "the mirrored distances", "what no mirror shows", "mirrors"):
        assert said in page, said


@pytest.mark.usefixtures("mirrored")
def test_its_passes_and_its_memory_are_planned(tmp_path: Path) -> None:
    from tests.toys.toy_method import TASK_BYTES

    plans = [
        make_plan(EmbedConfig.model_validate(configure(tmp_path, name)), open_rows(tmp_path / "x.npy"))
        for name in ("landmark_mds", "mirrored_mds")
    ]
    assert plans[1].passes == plans[0].passes + 4
    assert plans[1].task_bytes == plans[0].task_bytes + TASK_BYTES


@pytest.mark.usefixtures("mirrored")
def test_it_is_compared(tmp_path: Path) -> None:
    from flows.compare.flow import compare

    config = configure(tmp_path, "mirrored_mds") | {"compare": {"counts": [20], "repeats": 1}}
    lines = compare(CompareConfig.model_validate(config))["lines"]
    assert any(line.startswith("uniform ") for line in lines)
    assert not any(line.startswith("rpcholesky ") for line in lines)  # which needs a kernel
    assert "Landmarks for Mirrored MDS of " in (tmp_path / "out.compare" / "index.html").read_text()


@pytest.mark.usefixtures("mirrored")
def test_configs_and_forms_know_it() -> None:
    base = "source: {uri: a}\noutput: {uri: b}\n"
    with pytest.raises(
        InputError, match=r"^config: method\.name: 'mirored_mds' is unknown: did you mean mirrored_mds\?$"
    ):
        parse_config(base + "method: {name: mirored_mds}")
    with pytest.raises(InputError, match=r"^config: method\.n_component is no known key: did you mean n_components\?$"):
        parse_config(base + "method: {name: mirrored_mds, n_component: 3}")
    with pytest.raises(InputError, match=r"target: only nystroem_ridge and sparse_gp learn from one: leave it out$"):
        parse_config(base + "method: {name: mirrored_mds}\ntarget: {array: y}")
    both = parse_config(base + "methods: [{name: mirrored_mds}, {n_components: 3}]")
    assert list(both.single()) == ["mirrored_mds", "landmark_mds"]
    assert parse_config(both.model_dump_json()) == both
    schema = EmbedConfig.model_json_schema()
    assert {"$ref": "#/$defs/MirroredMDSConfig"} in schema["properties"]["method"]["anyOf"]
    assert schema["$defs"]["MirroredMDSConfig"]["description"] == "Mirrored MDS."


def test_once_it_is_gone_nothing_knows_it() -> None:
    with pytest.raises(InputError, match=r"method\.name: 'mirrored_mds' is unknown: did you mean"):
        parse_config("source: {uri: a}\noutput: {uri: b}\nmethod: {name: mirrored_mds}")
