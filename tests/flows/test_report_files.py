"""The report beside an embedding is that embedding's own, whenever a run is killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.embed import report_files
from landmark_ops.stores.embeddings.zarr.documents import ROOT
from landmark_ops.stores.embeddings.zarr.store import ZarrStore
from landmark_ops.stores.locations import read_bytes
from tests.flows.interrupting import interrupt
from tests.flows.running import attributes, make_config, points, run_embed, write_npy

pytestmark = pytest.mark.usefixtures("many_tasks")

X = points()


class Killed(BaseException):
    """The end of a process, as far as its storage is concerned."""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Of tonight's run, in two dimensions; yesterday's, in three, is there. Reports are their own summaries."""

    def write(report: Any, put: Any) -> None:
        put("density.png", report.summary.encode())
        put("index.html", report.summary.encode())

    monkeypatch.setattr("flows.embed.report.write_report", write)
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    run_embed(config)
    config["output"]["overwrite"] = True
    config["method"]["n_components"] = 2
    return config


def dimensions(folder: Path) -> tuple[int, list[str]]:
    """Of the embedding, and as its report has it."""
    said = [(folder / "out.report" / name).read_text() for name in ("index.html", "density.png")]
    return ZarrStore(str(folder / "out.zarr")).shape[1], [text.partition("placed in ")[2][:1] for text in said]


def killed_after(monkeypatch: pytest.MonkeyPatch, act: Any, attribute: str, config: dict[str, Any]) -> None:
    """Run until `attribute` of `act` has done its work, and no further."""
    original = getattr(act, attribute)

    def end(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(act, attribute, end)
        with pytest.raises(Killed):
            run_embed(config)


def test_killed_before_the_swap(config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Yesterday's report stays with yesterday's embedding."""
    killed_after(monkeypatch, report_files, "keep", config)
    assert dimensions(tmp_path) == (3, ["3", "3"])
    assert attributes(tmp_path / "out.zarr")["status"] == "complete"
    assert run_embed(config)["outcome"] == "resumed"
    assert dimensions(tmp_path) == (2, ["2", "2"])
    assert not (tmp_path / "out.report.next").exists()


@pytest.mark.parametrize("again", ["the same", "overwrite"])
def test_killed_after_the_swap(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    """The report is put in its place by the next run, whatever that is asked to do."""
    killed_after(monkeypatch, ZarrStore, "complete", config)
    assert dimensions(tmp_path) == (2, ["3", "3"])
    if again == "the same":
        config["output"]["overwrite"] = False
        assert run_embed(config)["outcome"] == "already complete"
    else:
        killed_after(monkeypatch, ZarrStore, "create", config)  # another is begun
    assert dimensions(tmp_path) == (2, ["2", "2"])
    assert not (tmp_path / "out.report.next").exists()


def test_killed_between_two_methods(tmp_path: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    del config["method"]
    config["methods"] = [
        {"name": "landmark_mds", "n_components": 2},
        {"name": "nystroem_kernel_pca", "n_components": 2},
    ]
    config["output"]["uri"] = str(tmp_path / "both")
    killed_after(monkeypatch, ZarrStore, "complete", config)
    mds, pca = (tmp_path / "both" / f"{name}.report" / "index.html" for name in ("landmark_mds", "nystroem_kernel_pca"))
    assert not mds.exists()
    assert run_embed(config)["outcome"] == "resumed"
    assert "by Landmark MDS" in mds.read_text()
    assert "by Nystrom kernel PCA" in pca.read_text()


def test_a_report_of_nothing_complete_is_deleted(config: dict[str, Any], tmp_path: Path) -> None:
    """Left by a run that was given up; a file that is no archive is deleted, too."""
    config["output"]["overwrite"] = False
    config["method"]["n_components"] = 3
    report_files.keep(ZarrStore(config["output"]["uri"]), {"index.html": b"of another"})
    document = tmp_path / "out.zarr" / ROOT
    build = attributes(tmp_path / "out.zarr")["build"]
    document.write_text(document.read_text().replace(build, "0" * 32))
    assert run_embed(config)["outcome"] == "already complete"
    assert dimensions(tmp_path) == (3, ["3", "3"])
    (tmp_path / "out.report.next").write_bytes(b"PK")
    assert run_embed(config)["outcome"] == "already complete"
    assert dimensions(tmp_path) == (3, ["3", "3"])
    assert not (tmp_path / "out.report.next").exists()


def test_an_unfinished_output_of_the_version_before(tmp_path: Path, config: dict[str, Any]) -> None:
    """It has no number of its own; metadata of an array that has gone is put back as well."""
    config["output"] = {"uri": str(tmp_path / "new.zarr")}
    interrupt(config)
    document = tmp_path / "new.zarr" / ROOT
    content = json.loads(document.read_text())
    del content["attributes"]["landmark_ops"]["build"]
    document.write_text(json.dumps(content))
    (tmp_path / "new.zarr" / "residual" / ROOT).unlink()
    assert run_embed(config)["outcome"] == "resumed"
    assert (tmp_path / "new.report" / "index.html").exists()
    assert not (tmp_path / "new.report.next").exists()
    assert run_embed(config)["outcome"] == "already complete"


@pytest.mark.s3
def test_on_s3(s3_bucket: str) -> None:
    store = ZarrStore(f"{s3_bucket}/out.zarr")
    store.create({})
    report_files.keep(store, {"a.png": b"picture", "index.html": b"page"})
    store.complete()
    report_files.settle(store)
    assert read_bytes(f"{s3_bucket}/out.report/index.html") == b"page"
    assert read_bytes(f"{s3_bucket}/out.report/a.png") == b"picture"
    assert not report_files.is_waiting(store.uri)
    report_files.settle(store)
