"""`landmarks draw`: overlays from tables and shards alone, without a model and without Prefect."""

from __future__ import annotations

import io
import shutil
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from flows.cli.app import app
from flows.detect import draw
from flows.detect.earlier import digest_of
from flows.detect.stored_members import Place
from landmark_ops.detectors.instances import Instances
from landmark_ops.errors import InputError
from landmark_ops.keypoints.rows import ImageOutcome, Provenance, to_tables
from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.shards.format import ShardOptions
from landmark_ops.shards.source import open_shards
from landmark_ops.stores.tables.staged import ShardRows
from landmark_ops.stores.tables.tables import TableSet

GRAY = 128
WIDTH, HEIGHT = 200, 120
NAMES = ("a.jpg", "b.jpg", "none.jpg", "broken.jpg")


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> None:
    """No Prefect here: takes the place of the folder's fixture, which would start a server."""


def jpeg(width: int = WIDTH, height: int = HEIGHT, gray: int = GRAY) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (gray, gray, gray)).save(buffer, "JPEG")
    return buffer.getvalue()


def write_folder(place: Path) -> str:
    place.mkdir()
    for name in NAMES:
        (place / name).write_bytes(jpeg() if name != "broken.jpg" else b"<html>")
    return str(place)


def write_tars(place: Path) -> str:
    place.mkdir()
    with tarfile.open(place / "0.tar", "w") as archive:
        for name in NAMES:
            data = jpeg() if name != "broken.jpg" else b"<html>"
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(place)


def face(x: float, n: int = 1) -> Instances:
    """n faces with a box 60 px wide at x and five points in its middle."""
    boxes = np.tile([x, 30.0, x + 60, 90.0], (n, 1))
    keypoints = np.full((n, 5, 3), np.nan)
    keypoints[..., :2] = [[x + 20, 50], [x + 40, 50], [x + 30, 60], [x + 22, 75], [x + 38, 75]]
    unknown = np.full((n, 5), np.nan)
    return Instances(boxes, np.full(n, 0.9), keypoints, unknown, unknown, {}, ("yunet-n",))


def write_output(
    output: Path,
    source: str,
    generation: str = "g1",
    form: str = "delta",
    options: ShardOptions | None = None,
) -> str:
    """The tables of a run that found a face in a.jpg and b.jpg, none in none.jpg, and could not read broken.jpg."""
    tables = TableSet(str(output), SCHEMAS, form)
    tables.prepare()
    opened = open_shards(source, options=options)
    tables.agree("source", {"uri": opened.uri})
    if opened.buckets is not None:
        tables.agree("folder", {"buckets": opened.buckets})
    provenance = Provenance("face-5", {"yunet-n": "00"}, generation, "run", datetime.now(UTC))
    staged = []
    for shard in opened.shards:
        outcomes = []
        for member in shard.members():
            identity = (member.image_id, member.shard, member.member, digest_of(member))
            if member.member == "broken.jpg":
                outcomes.append(ImageOutcome(*identity, failure=("not_an_image", "HTML")))
            else:
                n = 0 if member.member == "none.jpg" else 1
                outcomes.append(ImageOutcome(*identity, WIDTH, HEIGHT, face(20 if generation == "g1" else 110, n)))
        rows = ShardRows(shard.id, shard.version, 1, generation, "run", to_tables(outcomes, provenance))
        staged.append(tables.stage(rows))
    tables.commit([one for one in staged if one is not None])
    return str(output)


def coloured(path: str) -> np.ndarray:
    """Columns of a drawing where something stands that is not gray."""
    picture = cv2.imread(path).astype(int)
    return np.flatnonzero((np.ptp(picture, axis=2) > 60).any(0))


@pytest.mark.parametrize("form", ["delta", "parquet"])
def test_a_sample_of_a_folder_is_drawn_where_the_instances_are(tmp_path: Path, form: str) -> None:
    tables = write_output(tmp_path / "out", write_folder(tmp_path / "in"), form=form)
    drawings = draw.draw_tables(tables, str(tmp_path / "drawn"))
    assert [Path(path).name.partition("_")[0] for path in drawings.overlays] == ["a", "b"]  # where something was found
    assert drawings.problems == {}
    for path in drawings.overlays:
        found = coloured(path)
        assert 15 <= found.min() <= 22
        assert 78 <= found.max() <= 85
    assert drawings.sheet is not None
    assert cv2.imread(drawings.sheet).shape[1] > draw.CELL * 2
    assert draw.draw_tables(tables, str(tmp_path / "again"), sample=1).overlays[0].startswith(str(tmp_path / "again"))


def test_images_of_tars_are_drawn_by_id_with_or_without_instances(tmp_path: Path) -> None:
    tables = write_output(tmp_path / "out", write_tars(tmp_path / "in"))
    ids = ["0.tar/none.jpg", "0.tar/b.jpg"]
    drawings = draw.draw_tables(tables, str(tmp_path / "drawn"), image_ids=ids)
    none, b = drawings.overlays
    assert coloured(none).size == 0
    assert coloured(b).size


def test_the_generation_committed_last_is_drawn(tmp_path: Path) -> None:
    source = write_tars(tmp_path / "in")
    write_output(tmp_path / "out", source)
    tables = write_output(tmp_path / "out", source, "g0")
    drawings = draw.draw_tables(tables, str(tmp_path / "drawn"), image_ids=["0.tar/a.jpg"])
    assert coloured(drawings.overlays[0]).min() > 100


def test_images_that_moved_are_read_where_the_caller_says(tmp_path: Path) -> None:
    tables = write_output(tmp_path / "out", write_folder(tmp_path / "in"))
    shutil.move(tmp_path / "in", tmp_path / "moved")
    with pytest.raises(InputError, match="in: nothing is there"):
        draw.draw_tables(tables, str(tmp_path / "drawn"))
    drawings = draw.draw_tables(tables, str(tmp_path / "drawn"), place=Place(str(tmp_path / "moved")))
    assert len(drawings.overlays) == 2


def test_images_that_are_gone_or_changed_are_told_and_the_rest_is_drawn(tmp_path: Path) -> None:
    tables = write_output(tmp_path / "out", write_folder(tmp_path / "in"))
    (tmp_path / "in" / "a.jpg").unlink()
    result = run(tables, "--out", tmp_path / "drawn")
    assert result.exit_code == 0, result.stderr
    assert "a.jpg: not in the source any more" in result.stderr
    assert "overlays  1 in" in result.stdout

    (tmp_path / "in" / "b.jpg").write_bytes(jpeg(50, 50))
    result = run(tables, "--out", tmp_path / "drawn")
    assert result.exit_code == 2
    assert "b.jpg: has changed since the run: its sha256 is another than in column image_sha256" in result.stderr
    assert "nothing was drawn" in result.stderr


def test_nothing_is_drawn_over_another_picture_of_the_same_size(tmp_path: Path) -> None:
    tables = write_output(tmp_path / "out", write_folder(tmp_path / "in"))
    (tmp_path / "in/a.jpg").write_bytes(jpeg(gray=GRAY + 1))
    drawings = draw.draw_tables(tables, str(tmp_path / "drawn"))
    assert [Path(path).name.partition("_")[0] for path in drawings.overlays] == ["b"]
    told = "has changed since the run: its sha256 is another than in column image_sha256"
    assert drawings.problems == {"a.jpg": told}


def test_what_the_run_has_read_is_drawn_whatever_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = write_output(tmp_path / "out", write_folder(tmp_path / "in"))
    monkeypatch.setattr(draw, "MAX_PIXELS", 10)  # as with a config whose detector.max_pixels was higher
    assert len(draw.draw_tables(tables, str(tmp_path / "drawn")).overlays) == 2


def test_a_row_without_an_id_is_not_taken_for_the_row_whose_id_is_its_number(tmp_path: Path) -> None:
    images = pa.array([jpeg(), jpeg(gray=90), jpeg(gray=60)], pa.binary())
    pq.write_table(pa.table({"image": images, "id": pa.array([7, None, 1])}), tmp_path / "a.parquet")
    tables = write_output(tmp_path / "out", str(tmp_path / "a.parquet"), options=ShardOptions(id_column="id"))
    ids = ["a.parquet/1", "1"]
    place = Place(id_column="id")
    drawings = draw.draw_tables(tables, str(tmp_path / "drawn"), image_ids=ids, place=place)
    assert drawings.problems == {}
    assert [int(cv2.imread(path)[-1, -1, 0]) for path in drawings.overlays] == [90, 60]


def test_names_of_images_never_become_paths() -> None:
    names = [draw.file_name(name) for name in ("a/../../b.jpg", "a/b.jpg", "/etc/passwd", "a" * 500, "..", "ä", "ö")]
    assert len(set(names)) == len(names)
    for name in names:
        assert "/" not in name
        assert not name.startswith(".")
        assert len(name) < 100


def run(*arguments: Path | str) -> Result:
    return CliRunner().invoke(app, ["draw", *map(str, arguments)])


def test_no_tables_and_unknown_images_are_refused(tmp_path: Path) -> None:
    tables = write_output(tmp_path / "out", write_tars(tmp_path / "in"))
    for arguments, message in [
        ([tmp_path / "in"], "in: holds no tables of a detection run: name the output.uri"),
        ([tables, "--image-id", "0.tar/x.jpg"], "image 0.tar/x.jpg: not among the images of"),
        ([tables, "--image-id", "0.tar/broken.jpg"], "image 0.tar/broken.jpg: could not be read by the run"),
    ]:
        result = run(*arguments, "--out", tmp_path / "drawn")
        assert result.exit_code == 2
        assert message in result.stderr
        assert not (tmp_path / "drawn").exists()
    assert run(tables).exit_code == 2  # --out is needed


def test_an_output_without_complete_shards_is_refused(tmp_path: Path) -> None:
    TableSet(str(tmp_path / "out"), SCHEMAS).prepare()
    with pytest.raises(InputError, match="no shard is complete yet"):
        draw.draw_tables(str(tmp_path / "out"), str(tmp_path / "drawn"))
