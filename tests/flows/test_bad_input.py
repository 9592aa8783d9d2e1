"""Every mistake in config or data ends in one line: what, got, limit and remedy; nothing passes for complete."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from typer.testing import CliRunner

from flows.base.workers import check_address
from flows.cli.app import app
from landmark_ops.configs.embed import ClusterConfig, EmbedConfig
from landmark_ops.errors import InputError
from tests.flows.running import arrays, attributes, make_config, points, run_embed, write_npy, write_parquet, write_zarr

pytestmark = pytest.mark.usefixtures("bare_report", "signals")
X = points()


def open_only(config: dict[str, Any]) -> None:
    """All that is checked before anything is written."""
    from flows.embed.inputs import open_run

    open_run(EmbedConfig.model_validate(config))
    pytest.fail("was not refused before the run")


def refused_by_command(tmp_path: Path, config: dict[str, Any]) -> str:
    """The one line the command answers with; it exits with 2 and shows no traceback."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    result = CliRunner().invoke(app, ["embed", str(path), "--quiet"])
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("landmarks: ")
    return line


def unfinished(uri: Path) -> bool:
    """Whether nothing at the output can be taken for an embedding."""
    return not uri.exists() or attributes(uri)["status"] == "partial"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The config of a finished run. Tests may run it, or others on its output, but leave the output as it is."""
    folder = tmp_path_factory.mktemp("finished")
    config = make_config(write_npy(folder / "x.npy", X), folder / "out.zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.embed.report.write_report", lambda report, write: None)
        run_embed(config)
    return config


# --- landmarks and components


def test_more_landmarks_than_rows(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr", landmarks={"count": 401})
    assert "landmarks.count=401 exceeds the 400 rows of" in refused_by_command(tmp_path, config)


def test_one_landmark(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"landmarks\.count=1: at least 2 landmarks are needed"):
        open_only(make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr", landmarks={"count": 1}))


def test_more_components_than_landmarks(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr", method={"n_components": 31})
    with pytest.raises(InputError, match=r"method\.n_components=31 exceeds landmarks\.count=30"):
        open_only(config)


@pytest.mark.parametrize("name", ["landmark_mds", "nystroem", "nystroem_kernel_pca"])
def test_more_components_than_the_rank(tmp_path: Path, name: str) -> None:
    method = {"name": name, "n_components": 5} | ({} if name == "landmark_mds" else {"kernel": "linear"})
    centred = X - X.mean(axis=0)  # rank 4: under the linear kernel the offset would be a fifth direction
    config = make_config(write_npy(tmp_path / "x.npy", centred), tmp_path / "out.zarr", method=method)
    with pytest.raises(
        InputError, match=r"n_components=5 exceeds the numerical rank 4 of .* over 30 landmarks .*lower"
    ):
        run_embed(config)
    assert unfinished(tmp_path / "out.zarr")


@pytest.mark.parametrize(
    "method",
    [{"name": "landmark_mds"}, {"name": "nystroem_kernel_pca"}, {"name": "nystroem_kernel_pca", "gamma": 1.0}],
    ids=str,
)
def test_constant_data(tmp_path: Path, method: dict[str, Any]) -> None:
    source = write_npy(tmp_path / "x.npy", np.full((400, 6), 2.5, np.float32))
    config = make_config(source, tmp_path / "out.zarr", method={"n_components": 1, **method})
    with pytest.raises(InputError, match="the data is constant"):
        run_embed(config)
    assert unfinished(tmp_path / "out.zarr")


def test_given_landmarks_twice(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    config["landmarks"] = {"strategy": "given", "indices": [5, 7, 9, 11, 7]}
    with pytest.raises(InputError, match="landmark indices: 7 given more than once"):
        run_embed(config)


def test_given_landmarks_out_of_range(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    config["landmarks"] = {"strategy": "given", "indices": [5, 7, 9, 400, -1]}
    with pytest.raises(InputError, match="landmark indices: 400, -1 outside 0 to 399"):
        run_embed(config)


def test_given_points_of_another_width(tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.ones((10, 5)))
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    config["landmarks"] = {"strategy": "given", "points": str(tmp_path / "z.npy")}
    with pytest.raises(InputError, match=r"landmark points: got shape \(10, 5\) .*, needs numbers of shape \(m, 6\)"):
        run_embed(config)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": X[:9]}, r"is an archive of arrays \(\.npz\): save one as \.npy"),
        (X[:9].astype(complex), "elements are complex128, rows must be"),
        (X[:9].astype(str), "elements are <U"),
        (X[:9, 0], r"shape \(9,\) of float32, needs points \(m, d\) or integer row numbers"),
    ],
    ids=["npz", "complex", "text", "one axis"],
)
def test_given_points_of_another_kind(tmp_path: Path, given: Any, message: str) -> None:
    with (tmp_path / "z.npy").open("wb") as file:
        np.savez(file, **given) if isinstance(given, dict) else np.save(file, given)
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    config["landmarks"] = {"strategy": "given", "points": str(tmp_path / "z.npy")}
    with pytest.raises(InputError, match=message):
        open_only(config)


def test_given_points_missing(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    config["landmarks"] = {"strategy": "given", "points": str(tmp_path / "z.npy")}
    for content in (None, b"", b"PK\x03\x04 half an archive"):
        if content is not None:
            (tmp_path / "z.npy").write_bytes(content)
        with pytest.raises(InputError, match=r"landmarks\.points .*z\.npy: cannot be read as \.npy"):
            open_only(config)


def test_duplicate_rows_among_landmarks_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[Any] = []
    monkeypatch.setattr("flows.embed.report.write_report", lambda report, write: pages.append(report))
    config = make_config(write_npy(tmp_path / "x.npy", np.repeat(X[:20], 20, axis=0)), tmp_path / "out.zarr")
    run_embed(config)
    expected = r"\d+ of 30 landmarks repeat another: \d+ distinct ones carry the map"
    for warnings in (attributes(tmp_path / "out.zarr")["warnings"], pages[0].warnings):
        assert re.match(expected, warnings[0])
    assert np.isfinite(arrays(tmp_path / "out.zarr")[0]).all()


# --- config


def test_unknown_config_key(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr", landmarks={"cuont": 30})
    assert "landmarks.cuont is no known key: did you mean count?" in refused_by_command(tmp_path, config)


def test_unknown_metric(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr", method={"metric": "euclidian"})
    with pytest.raises(InputError, match=r"euclidian.*euclidean"):
        open_only(config)


def test_thumbnail_of_another_shape(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr", report={"thumbnail": [2, 2]})
    with pytest.raises(InputError, match=r"report\.thumbnail \[2, 2\] holds 4 values, a row has 6: give the picture's"):
        open_only(config)


def test_plaintext_cluster_address(tmp_path: Path) -> None:
    address = "tcp://192.0.2.1:8786"  # documentation range: no host answers there
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr", cluster={"address": address})
    with pytest.raises(InputError, match=rf"cluster\.address {address}: neither tls:// nor on this machine"):
        run_embed(config)
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("tcp://127.0.0.1:8786", True),
        ("127.0.0.1:8786", True),
        ("tcp://localhost:8786", True),
        ("tcp://[::1]:8786", True),
        ("tls://dask.example.com:8786", True),
        ("tcp://127.0.0.1.example.com:8786", False),
        ("localhost.example.com:8786", False),
        ("inproc.example.com:8786", False),
        ("ws://192.0.2.1:8786", False),
        ("tcp://[2001:db8::1]:8786", False),
    ],
)
def test_which_addresses_need_encryption(address: str, allowed: bool) -> None:
    check_address(ClusterConfig(address=address, allow_plaintext=True))
    if allowed:
        check_address(ClusterConfig(address=address))
        return
    with pytest.raises(InputError, match="neither tls:// nor on this machine"):
        check_address(ClusterConfig(address=address))


# --- memory


def test_not_enough_memory(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr", cluster={"memory": "64MiB"})
    message = refused_by_command(tmp_path, config)
    size = r"[\d.]+ [KM]iB"
    assert re.search(rf"needs {size}, a worker {size} in all, and it has 64\.0 MiB: raise cluster\.memory to", message)
    assert not (tmp_path / "out.zarr").exists()


def test_not_enough_memory_for_one_chunk(tmp_path: Path) -> None:
    """A chunk of 4 GB: refused from its shape alone, before any of it is read."""
    zarr.create_array(tmp_path / "x.zarr", shape=(2_000_000, 500), chunks=(2_000_000, 500), dtype="float32")
    config = make_config(str(tmp_path / "x.zarr"), tmp_path / "out.zarr", cluster={"memory": "4GiB"})
    with pytest.raises(
        InputError,
        match=r"source chunks of 3\.7 GiB\) needs .* GiB, a worker .* GiB in all, and it has 4\.0 GiB: raise "
        r"cluster\.memory to at least .* GiB, or store the source in chunks smaller than 2,000,000 rows",
    ):
        run_embed(config)


# --- output


def test_same_run_again_is_already_complete(finished: dict[str, Any]) -> None:
    before = attributes(finished["output"]["uri"])
    result = run_embed(finished)
    assert result["outcome"] == "already complete"
    assert result["rows"] == 400
    assert attributes(finished["output"]["uri"]) == before


def test_output_of_another_config(tmp_path: Path, finished: dict[str, Any]) -> None:
    config = {**finished, "method": {"name": "landmark_mds", "n_components": 2}, "landmarks": {"count": 30, "seed": 1}}
    message = refused_by_command(tmp_path, config)
    assert "holds a complete embedding made with landmarks.seed 0 instead of 1, method.n_components 3 instead of 2" in (
        message
    )
    assert "output.overwrite: true" in message


def test_output_of_another_source(tmp_path: Path, finished: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="holds a complete embedding made with another source"):
        open_only({**finished, "source": {"uri": write_npy(tmp_path / "x.npy", X + 1)}})


def test_output_that_is_something_else(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "thesis")
    config["output"]["overwrite"] = True
    for content in ("thesis/chapter.tex", "thesis"):
        path = tmp_path / content
        path.parent.mkdir(exist_ok=True)
        path.write_text("years of work")
        assert "holds something that is no embedding of ours and is never overwritten" in refused_by_command(
            tmp_path, config
        )
        assert path.read_text() == "years of work"
        shutil.rmtree(tmp_path / "thesis", ignore_errors=True)


def test_output_that_is_another_zarr_group(tmp_path: Path) -> None:
    other = write_zarr(tmp_path / "other.zarr", X, (100, 6))
    config = make_config(write_npy(tmp_path / "x.npy", X), other)
    config["output"]["overwrite"] = True
    with pytest.raises(InputError, match="no embedding of ours and is never overwritten"):
        open_only(config)
    np.testing.assert_array_equal(zarr.open_group(other, mode="r")["rows"][...], X)  # type: ignore[index]


def test_output_that_is_the_source(tmp_path: Path, finished: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by another spelling, and an embedding as the source of its own replacement."""
    out = Path(finished["output"]["uri"])
    monkeypatch.chdir(out.parent)
    for spelling in (str(out), "out.zarr", "./out.zarr", f"../{out.parent.name}/out.zarr"):
        config = make_config(str(out), spelling)
        config["source"]["array"] = "embedding"
        config["output"]["overwrite"] = True
        with pytest.raises(InputError, match="overlaps the source"):
            open_only(config)
    folder = tmp_path / "parts"
    folder.mkdir()
    write_parquet(folder / "a.parquet", X)
    with pytest.raises(InputError, match="overlaps the source"):
        open_only(make_config(str(folder), folder / "out.zarr", **{"source": {"column": "vec"}}))


def test_read_only_target(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), "/proc/landmarks/out.zarr")
    assert "output /proc/landmarks/out.zarr: cannot write in /proc: " in refused_by_command(tmp_path, config)


def test_target_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", deny)
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "new/out.zarr")
    with pytest.raises(InputError, match=r"cannot write in .*: Permission denied: choose another output\.uri"):
        open_only(config)
    assert not (tmp_path / "new").exists()


def test_target_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file is a file, not a folder: choose another output\.uri"):
        open_only(make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "file/out.zarr"))
