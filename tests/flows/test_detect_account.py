"""The account of `landmarks detect`: each image has rows, none, or a reason why it failed; the page; real nets."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import landmark_ops
from landmark_ops.images.decode import decode
from landmark_ops.shards.member import IMAGE_SUFFIXES
from tests.flows.detecting_data import (
    TinyModels,
    blanks,
    detect_config,
    file_name,
    make_models,
    model_files,  # noqa: F401  a fixture
    once,
    png,
    rows,
    run_detect,
    tiny_models,  # noqa: F401  a fixture
    write_folder,
)
from tests.hostile import hostile_files
from tests.hostile import png as png_of

GOOD = 1_000


class Done(NamedTuple):
    """One run over the hostile folder: where its rows went, what it returned."""

    output: Path
    result: dict[str, Any]


@pytest.fixture(scope="module")
def hostile() -> dict[str, tuple[bytes, str | None]]:
    """The hostile files that count as images by their names."""
    return {name: file for name, file in hostile_files().items() if name.endswith(IMAGE_SUFFIXES)}


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: str, hostile: dict[str, tuple[bytes, str | None]]
) -> Done:
    """A folder of good pictures with hostile ones among them."""
    folder = tmp_path_factory.mktemp("account")
    models = make_models(folder / "models")
    source = Path(write_folder(folder / "pictures", range(GOOD)))
    for name, (data, _) in hostile.items():
        (source / name).write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANDMARKS_MODEL_SPECS", str(models.specs))
        return Done(folder / "out", run_detect(detect_config(str(source), folder / "out", models.pipeline)))


def test_every_image_is_accounted_for(done: Done, hostile: dict[str, tuple[bytes, str | None]]) -> None:
    result, bad = done.result, {name: reason for name, (_, reason) in hostile.items() if reason}
    assert len(bad) >= 40
    assert result["images"] == GOOD + len(hostile) == result["this_run"]
    assert result["images"] == result["with_instances"] + result["without"] + result["failed"]
    assert {row["image_id"]: row["reason"] for row in rows(done.output, "failures")} == bad
    assert result["failed"] == len(bad)
    once(done.output, GOOD + len(hostile))


def test_good_ones_are_found_among_them(done: Done) -> None:
    images = {row["image_id"]: row for row in rows(done.output, "images")}
    good = [images[file_name(index)] for index in range(GOOD)]
    assert sum(row["instances"] == 0 for row in good) == blanks(range(GOOD))
    assert {row["instances"] for row in good} == {0, 1}
    assert all(len(row["image_sha256"]) == 64 for row in good)
    turned = [images[f"orientation-{at}.{kind}"] for at in range(1, 9) for kind in ("jpg", "png", "webp", "tiff")]
    assert {(row["width"], row["height"]) for row in turned} == {(64, 48)}  # upright


def test_failures_say_why(done: Done) -> None:
    failures = {row["image_id"]: row for row in rows(done.output, "failures")}
    assert all(row["detail"] for row in failures.values())
    assert "50000" in failures["fifty-thousand.png"]["detail"].replace(",", "").replace(" ", "")
    assert failures["empty.jpg"]["reason"] == "empty"
    assert failures["html.jpg"]["reason"] == "not_an_image"
    assert failures["animated.gif"]["reason"] == "animated"
    hashed = {name: row["sha256"] for name, row in failures.items() if name != "empty.jpg"}
    assert all(len(digest) == 64 for digest in hashed.values())


def test_points_lie_within_their_images(done: Done) -> None:
    found = rows(done.output)
    assert found
    for row in found:
        for point in row["keypoints"]:
            assert -0.5 <= point["x"] <= row["width"] - 0.5
            assert -0.5 <= point["y"] <= row["height"] - 0.5


def test_the_page_holds_the_account(done: Done) -> None:
    place = Path(done.result["report"])
    page = place.read_text()
    assert place == done.output / "report/index.html"
    text = re.sub(r"<[^>]*>|\s+", " ", page)
    for name in ("images", "with_instances", "without", "failed", "instances"):
        assert re.search(rf"\b{done.result[name]:,}\b", text), name
    for reason, count in Counter(row["reason"] for row in rows(done.output, "failures")).items():
        assert re.search(rf"{reason}\W+{count}\b", text), reason
    assert done.result["config_hash"] in text
    assert len(list(place.parent.glob("*.png"))) >= 2
    overlays = sorted(place.parent.glob("overlay-*.jpg"))
    assert len(overlays) == 4
    for overlay in overlays:
        assert decode(overlay.read_bytes()).image.max() > 100
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_account_is_an_artifact(done: Done) -> None:
    from prefect import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

    # Asked for by key and run: the server holds those of all tests before, and gives 200 at most.
    with get_client(sync_client=True) as client:
        account = ArtifactFilter(key=ArtifactFilterKey(any_=["detection-account"]))
        mine = [one for one in client.read_artifacts(artifact_filter=account) if done.result["report"] in str(one.data)]
        assert len(mine) == 1
        assert f"| {done.result['images']:,} |" in str(mine[0].data)
        run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[mine[0].flow_run_id]))
        beside = client.read_artifacts(artifact_filter=run)
    assert sum(str(artifact.data).startswith("data:image/png") for artifact in beside) >= 2


def test_a_hostile_tar(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    """Duplicates, names that lead out, links, an empty file and a cut end: each a failure, nothing is unpacked."""
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w") as archive:
        for name in ("a.png", "../../evil.png", "a.png", "/etc/b.png", "empty.png", "c.png"):
            data = b"" if name == "empty.png" else png(0)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    folder = tmp_path / "tars"
    folder.mkdir()
    (folder / "hostile.tar").write_bytes(stored.getvalue())
    (folder / "none.tar").write_bytes(bytes(10240))
    (folder / "nothing.tar").write_bytes(b"")
    (folder / "cut.tar").write_bytes(stored.getvalue()[: 2 * 512 + 20])
    (folder / "page.tar").write_bytes(b"<html>404</html>" * 100)
    result = run_detect(detect_config(str(folder), tmp_path / "out", tiny_models.pipeline, report={"sample": 0}))
    reasons = Counter(row["reason"] for row in rows(tmp_path / "out", "failures") if row["shard"] == "hostile.tar")
    assert reasons == {"unsafe_name": 2, "duplicate_member": 1, "not_a_file": 1, "empty": 1}
    others = {row["shard"] for row in rows(tmp_path / "out", "failures")} - {"hostile.tar"}
    assert {"cut.tar", "page.tar"} <= others
    assert result["with_instances"] >= 2
    assert result["images"] == result["with_instances"] + result["without"] + result["failed"]
    assert not list(tmp_path.rglob("evil.png"))
    assert run_detect(detect_config(str(folder), tmp_path / "out", tiny_models.pipeline))["outcome"] == "nothing new"


@pytest.mark.usefixtures("tiny_models")
def test_nothing_but_failures(tmp_path: Path, model_files: TinyModels) -> None:  # noqa: F811
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}.jpg").write_bytes(b"<html>")
    result = run_detect(detect_config(str(folder), tmp_path / "out", model_files.pipeline))
    assert (result["images"], result["failed"], result["instances"]) == (3, 3, 0)
    assert Path(result["report"]).exists()


@pytest.mark.usefixtures("tiny_models")
def test_names_that_are_no_text(tmp_path: Path, model_files: TinyModels) -> None:  # noqa: F811
    """Captions, ids and tables take names of any bytes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    names = [
        b"caf\xe9.png",
        "été \u202egnp.png".encode(),
        b"a\nb.png",
        b"<script>alert(1)</script>.png".replace(b"/", b"|"),
    ]
    for name in names:
        Path(str(folder), name.decode("utf-8", "surrogateescape")).write_bytes(png(0))
    result = run_detect(detect_config(str(folder), tmp_path / "out", model_files.pipeline))
    assert result["with_instances"] == len(names)
    assert len({row["image_id"] for row in rows(tmp_path / "out")}) == len(names)
    assert "<script>alert" not in Path(result["report"]).read_text()


def test_too_many_pixels(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    folder = Path(write_folder(tmp_path / "pictures", range(2)))
    (folder / "big.png").write_bytes(png_of(200, 200, 8, 2))
    config = detect_config(str(folder), tmp_path / "out", tiny_models.pipeline, detector={"max_pixels": 1200})
    assert run_detect(config)["failed"] == 1
    (failure,) = rows(tmp_path / "out", "failures")
    assert (failure["image_id"], failure["reason"]) == ("big.png", "too_large")


# --- real nets


@pytest.fixture
def real_models(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real model files as the mirror."""
    monkeypatch.delenv("LANDMARKS_MODEL_SPECS", raising=False)
    monkeypatch.setenv("LANDMARKS_MODEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LANDMARKS_MODEL_MIRROR", str(shared / "models"))
    return shared


def test_real_faces(real_models: Path, tmp_path: Path) -> None:
    """face-68 on photographs: the reference face of the astronaut, its points in order and within the picture."""
    config = detect_config(str(real_models / "images"), tmp_path / "out", "face-68", source={"glob": "*.[jp][pn]g"})
    result = run_detect(config)
    assert (result["images"], result["failed"]) == (6, 0)
    once(tmp_path / "out", 6)
    (face,) = [row for row in rows(tmp_path / "out") if row["image_id"] == "astronaut.png"]
    golden = json.loads((real_models / "models/golden.json").read_text())
    assert golden
    points = np.array([[point["x"], point["y"]] for point in face["keypoints"]])
    assert points.shape == (68, 2)
    box = face["box"]
    assert (points >= [box["x0"] - 5, box["y0"] - 5]).all()
    assert (points <= [box["x1"] + 5, box["y1"] + 5]).all()
    eyes, mouth = points[36:48].mean(axis=0), points[48:].mean(axis=0)
    assert eyes[1] < points[30, 1] < mouth[1] < points[8, 1]  # eyes, tip of the nose, mouth, chin
    assert points[0, 0] < points[16, 0]
    assert len(list((tmp_path / "out/report").glob("overlay-*.jpg"))) >= 1
    one = landmark_ops.detect(real_models / "images/astronaut.png", "face-68")[0]
    np.testing.assert_allclose(points, one.keypoints[0, :, :2], atol=1e-3)


def test_real_boxes_after_scaled_decoding(real_models: Path, tmp_path: Path) -> None:
    """A finder of a small fixed input sees a picture decoded smaller; boxes are in pixels of the original."""
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    small = Image.open(real_models / "images/astronaut.png").convert("RGB")
    small.resize((4096, 4096), Image.Resampling.BICUBIC).save(folder / "large.jpg", quality=90)
    small.save(folder / "small.jpg", quality=95)
    run_detect(detect_config(str(folder), tmp_path / "out", "faces-ultralight"))
    boxes = {
        row["image_id"]: np.array([row["box"][k] for k in ("x0", "y0", "x1", "y1")]) for row in rows(tmp_path / "out")
    }
    assert set(boxes) == {"large.jpg", "small.jpg"}
    np.testing.assert_allclose((boxes["large.jpg"] + 0.5) / 8 - 0.5, boxes["small.jpg"], atol=3)
    sizes = {row["image_id"]: row["width"] for row in rows(tmp_path / "out", "images")}
    assert sizes == {"large.jpg": 4096, "small.jpg": 512}
