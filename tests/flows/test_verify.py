"""Damage is found: by `embed` and `inspect` from sizes, by `verify` all of it; `repair` repairs what it can."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from typer.testing import CliRunner

from flows.base.progress import Progress
from flows.cli.app import app
from flows.cli.verify import verify_place
from flows.embed.repair import repair
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import DamagedError, InputError, RunError
from landmark_ops.passes.verification import verify_embedding
from landmark_ops.stores.embeddings.initial import layout_init
from landmark_ops.stores.embeddings.zarr.store import ZarrStore
from landmark_ops.stores.locations import read_bytes, remove, write_bytes
from landmark_ops.stores.zarr_store import open_store
from tests.flows.running import arrays, make_config, points, run_embed, write_npy

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")

X = points()
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with x.npy and out.zarr: 10 chunks of 42 rows. Residuals are NaN throughout."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.embed.report.write_report", lambda report, write: None)
        patch.setattr("landmark_ops.passes.ranges.TASK_BYTES", 1 << 10)
        write_npy(folder / "x.npy", X)
        run_embed(config_of(folder))
    return folder


def config_of(folder: Path) -> dict[str, Any]:
    method = {"name": "spectral_embedding", "gamma": 0.01}
    return make_config(str(folder / "x.npy"), folder / "out.zarr", method=method)


@pytest.fixture
def folder(tmp_path: Path, finished: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    return copy


def delete(key: str) -> Damage:
    return lambda out: (out / key).unlink()


def flip(key: str) -> Damage:
    def act(out: Path) -> None:
        content = bytearray((out / key).read_bytes())
        content[5] ^= 1
        (out / key).write_bytes(content)

    return act


def cut(key: str) -> Damage:
    return lambda out: (out / key).write_bytes((out / key).read_bytes()[:-3])


def write(array: str, at: Any, value: float) -> Damage:
    def act(out: Path) -> None:
        group: Any = zarr.open_group(out, mode="r+")
        group[array][at] = value

    return act


MISSING: dict[str, tuple[Damage, str]] = {
    "chunk": (delete("embedding/c/3/0"), "embedding/c/3/0"),
    "chunk of NaN": (delete("residual/c/9"), "residual/c/9"),
    "chunk cut": (cut("embedding/c/0/0"), "embedding/c/0/0"),
    "metadata": (delete("embedding/zarr.json"), "embedding/zarr.json"),
    "landmarks": (delete("landmarks/points/c/0/0"), "landmarks/points/c/0/0"),
    "map": (delete("map/readout/c/0/0"), "map/readout/c/0/0"),
    "table": (delete("chunks/low/c/0/0"), "chunks/low/c/0/0"),
}
ALTERED: dict[str, tuple[Damage, str]] = {
    "bit": (flip("embedding/c/3/0"), "embedding/c/3/0"),
    "foreign rows": (write("embedding", np.s_[3 * 42 : 4 * 42], 7), "embedding/c/3/0"),
    "foreign residual": (write("residual", 5, 7), "residual/c/0"),
    "bit of a landmark": (flip("landmarks/points/c/0/0"), "landmarks/points/c/0/0"),
    "other landmark": (write("landmarks/points", (0, 0), 7), "landmarks/points/c/0/0"),
    "other map": (write("map/readout", (0, 0), 7), "map/readout/c/0/0"),
    "other table": (write("chunks/low", (0, 0), 7), "chunks/low/c/0/0"),
    "metadata cut": (cut("residual/zarr.json"), "residual/zarr.json"),
}


def verified(folder: Path) -> list[str]:
    (found,) = verify_place(str(folder / "out.zarr"))
    return [damage.key for damage in found.damaged]


def test_a_whole_one(folder: Path) -> None:
    assert verify_place(str(folder / "out.zarr"))[0].unchecked == []
    result = CliRunner().invoke(app, ["verify", str(folder / "out.zarr")])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"whole  {folder}/out.zarr  (")
    assert "10 chunks of rows" in result.stdout
    lines = CliRunner().invoke(app, ["inspect", str(folder / "out.zarr")]).stdout
    assert "chunks  all 10 there with their sizes, content not checked: landmarks verify" in lines


@pytest.mark.parametrize("kind", [*MISSING, *ALTERED])
def test_every_damage_is_named(folder: Path, kind: str) -> None:
    damage, key = {**MISSING, **ALTERED}[kind]
    damage(folder / "out.zarr")
    assert verified(folder) == [key]


@pytest.mark.parametrize("kind", MISSING)
def test_run_again_it_is_not_complete(folder: Path, kind: str) -> None:
    damage, key = MISSING[kind]
    damage(folder / "out.zarr")
    with pytest.raises(DamagedError, match=rf"out\.zarr: the embedding is damaged: {key} .*: `landmarks repair`"):
        run_embed(config_of(folder))
    result = CliRunner().invoke(app, ["inspect", str(folder / "out.zarr")])
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert key in result.stderr


def test_json_and_exit_code(folder: Path) -> None:
    delete("embedding/c/3/0")(folder / "out.zarr")
    result = CliRunner().invoke(app, ["verify", str(folder / "out.zarr"), "--json"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["whole"] is False
    assert found["outputs"][0]["damaged"] == [
        {"array": "embedding", "chunk": "embedding/c/3/0", "rows": [126, 168], "what": "is missing"}
    ]
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("damage", [cut("zarr.json"), delete("zarr.json")], ids=["cut", "gone"])
def test_without_its_own_metadata(folder: Path, damage: Damage) -> None:
    """It is ours all the same, as its arrays show: said to be damaged, and replaced when told to."""
    damage(folder / "out.zarr")
    (found,) = verify_place(str(folder / "out.zarr"))
    assert [damage.key for damage in found.damaged] == ["zarr.json"]
    config = config_of(folder)
    with pytest.raises(DamagedError, match=r"is damaged: its zarr\.json .*: put back a copy .*overwrite: true"):
        run_embed(config)
    config["output"]["overwrite"] = True
    assert run_embed(config)["outcome"] == "done"
    assert verified(folder) == []


def test_our_readers_fail_on_what_is_missing(folder: Path) -> None:
    delete("embedding/c/3/0")(folder / "out.zarr")
    with pytest.raises(DamagedError, match="chunk embedding/c/3/0 is missing"):
        layout_init(str(folder / "out.zarr"))


def test_replaced_while_it_is_read(folder: Path) -> None:
    """Replaced by an output without some of its arrays: a mixture of the two says nothing about either."""
    uri = str(folder / "out.zarr")

    def swap(item: Any) -> None:
        config = make_config(str(folder / "x.npy"), uri, output={"overwrite": True})
        if ZarrStore(uri).read_attributes()["method"] != "landmark_mds":
            run_embed(config)

    with pytest.raises(RunError, match=r"out\.zarr: was replaced while it was being verified: verify it again"):
        verify_embedding(ZarrStore(uri), LocalEngine(), swap)
    assert verified(folder) == []


# --- repair


def mended(folder: Path) -> tuple[int, int]:
    (done,) = repair(EmbedConfig.model_validate(config_of(folder)), Progress())
    return done.chunks, done.metadata


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *[(kind, (1, 0)) for kind in ("chunk", "chunk of NaN", "chunk cut", "bit", "foreign rows", "foreign residual")],
        *[(kind, (0, 1)) for kind in ("metadata", "metadata cut")],
    ],
)
def test_repaired(folder: Path, finished: Path, kind: str, expected: tuple[int, int]) -> None:
    """Only the damaged chunks, bit for bit as they were."""
    damage, _ = {**MISSING, **ALTERED}[kind]
    damage(folder / "out.zarr")
    assert mended(folder) == expected
    assert verified(folder) == []
    for ours, theirs in zip(arrays(folder / "out.zarr"), arrays(finished / "out.zarr"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert mended(folder) == (0, 0)


@pytest.mark.parametrize("kind", ["landmarks", "map", "other landmark", "other map", "other table"])
def test_what_rows_are_placed_by_is_not_guessed(folder: Path, kind: str) -> None:
    damage, key = {**MISSING, **ALTERED}[kind]
    damage(folder / "out.zarr")
    with pytest.raises(DamagedError, match=rf"{key} .*: it cannot be computed from the map.*overwrite: true"):
        mended(folder)


def test_not_from_another_source(folder: Path) -> None:
    delete("embedding/c/3/0")(folder / "out.zarr")
    write_npy(folder / "x.npy", X + 1)
    with pytest.raises(InputError, match="made with another source, or the source has changed since"):
        mended(folder)


def test_rows_that_changed_without_showing_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same size and time: the content tells."""
    delete("embedding/c/3/0")(folder / "out.zarr")
    recorded = ZarrStore(str(folder / "out.zarr")).read_attributes()["source"]["fingerprint"]
    other = X.copy()
    other[130] += 1
    write_npy(folder / "x.npy", other)
    monkeypatch.setattr("flows.embed.inputs.fingerprint_of", lambda rows, targets: recorded)
    with pytest.raises(DamagedError, match=r"rows 126\.\.168 computed anew are not those that were committed"):
        mended(folder)


def test_nothing_to_repair(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config_of(folder)))
    result = CliRunner().invoke(app, ["repair", str(path), "--quiet"])
    assert (result.exit_code, result.stdout) == (0, f"whole      {folder}/out.zarr  (nothing to repair)\n")
    shutil.rmtree(folder / "out.zarr")
    result = CliRunner().invoke(app, ["repair", str(path), "--quiet"])
    assert result.exit_code == 2
    assert "no complete embedding is there to repair: run `landmarks embed`" in result.stderr


@pytest.mark.s3
def test_on_s3(s3_bucket: str) -> None:
    uri = f"{s3_bucket}/out.zarr"
    zarr.create_group(open_store(f"{s3_bucket}/x.zarr")).create_array("rows", data=X, chunks=(100, 6))
    config = make_config(f"{s3_bucket}/x.zarr", uri)
    run_embed(config)
    (found,) = verify_place(uri)
    assert (found.damaged, found.unchecked, found.checked["chunks of rows"]) == ([], [], 4)
    before = ZarrStore(uri).read(0, len(X))

    content = bytearray(read_bytes(f"{uri}/embedding/c/0/0"))
    content[5] ^= 1
    write_bytes(f"{uri}/embedding/c/0/0", bytes(content))
    for key in ("embedding/c/3/0", "residual/c/2", "residual/zarr.json"):
        remove(f"{uri}/{key}")
    with pytest.raises(DamagedError, match=r"s3://.*out\.zarr: the embedding is damaged: .*, and 2 more"):
        run_embed(config)
    damaged = ["embedding/c/0/0", "embedding/c/3/0", "residual/c/2", "residual/zarr.json"]
    assert [damage.key for damage in verify_place(uri)[0].damaged] == damaged
    (done,) = repair(EmbedConfig.model_validate(config), Progress())
    assert (done.chunks, done.metadata) == (3, 1)
    assert verify_place(uri)[0].damaged == []
    for ours, theirs in zip(ZarrStore(uri).read(0, len(X)), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)

    remove(f"{uri}/landmarks/points/c/0/0")
    with pytest.raises(DamagedError, match=r"landmarks/points/c/0/0 is missing: it cannot be computed from the map"):
        repair(EmbedConfig.model_validate(config), Progress())
    remove(f"{uri}/zarr.json")
    assert [damage.key for damage in verify_place(uri)[0].damaged] == ["zarr.json"]
