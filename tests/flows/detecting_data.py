"""Helpers of the detect tests: models of a dozen operators, pictures of one blob, sources of every kind, tables.

The finder answers with a box around the light of a picture, scored by its brightest pixel; the point net with five
points around the light of its crop. So what must come out is known without any weights.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zarr
from deltalake import DeltaTable, write_deltalake
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from landmark_ops.configs.detect import DetectConfig
from tests.hostile import save

WIDTH, HEIGHT = 40, 30
FINDER_SIDE, POINT_SIDE = 32, 16
EVERY_BLANK = 7  # one picture in seven shows nothing


class TinyModels(NamedTuple):
    """Where the tiny models, and the pipelines made of them, lie."""

    specs: Path
    pipeline: str  # finder and points
    boxes_only: str
    sha256: dict[str, str]


def light_graph(side: int, name: str, points: bool) -> bytes:
    """ONNX: where the light of (N, 3, side, side) pictures is, as an Ultra-Light head or as five points."""
    grid = (np.arange(side, dtype=np.float32) + 0.5) / side
    values = {
        "xs": grid.reshape(1, 1, side),
        "ys": grid.reshape(1, side, 1),
        "axes": np.array([1, 2]),
        "tiny": np.float32(1e-6),
        "one": np.float32(1),
        "scale": np.float32(1 / 255),
        "column": np.array([-1, 1] if points else [-1, 1, 1]),
    }
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["light"], axes=[1], keepdims=0),
        helper.make_node("ReduceSum", ["light", "axes"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "tiny"], ["total"]),
    ]
    for axis in "xy":
        nodes += [
            helper.make_node("Mul", ["light", f"{axis}s"], [f"{axis}_weighted"]),
            helper.make_node("ReduceSum", [f"{axis}_weighted", "axes"], [f"{axis}_sum"], keepdims=0),
            helper.make_node("Div", [f"{axis}_sum", "total"], [f"{axis}_flat"]),
            helper.make_node("Reshape", [f"{axis}_flat", "column"], [axis]),
        ]
    moves = [(0, 0), (-0.05, 0), (0.05, 0), (0, -0.05), (0, 0.05)] if points else [(-0.15, -0.15), (0.15, 0.15)]
    coordinates = []
    for at, move in enumerate(moves):
        for axis, by in zip("xy", move, strict=True):
            values[f"move_{axis}{at}"] = np.float32(by)
            nodes.append(helper.make_node("Add", [axis, f"move_{axis}{at}"], [f"{axis}{at}"]))
            coordinates.append(f"{axis}{at}")
    result = "points" if points else "boxes"
    nodes.append(helper.make_node("Concat", coordinates, [result], axis=1 if points else 2))
    told = [helper.make_tensor_value_info(result, TensorProto.FLOAT, ["N", 10] if points else ["N", 1, 4])]
    if not points:
        nodes += [
            helper.make_node("ReduceMax", ["light"], ["peak"], axes=[1, 2], keepdims=0),
            helper.make_node("Mul", ["peak", "scale"], ["share"]),
            helper.make_node("Reshape", ["share", "column"], ["seen"]),
            helper.make_node("Sub", ["one", "seen"], ["unseen"]),
            helper.make_node("Concat", ["unseen", "seen"], ["scores"], axis=2),
        ]
        told.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 1, 2]))
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, side, side])],
        told,
        [numpy_helper.from_array(np.asarray(value), key) for key, value in values.items() if key in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def make_models(folder: Path) -> TinyModels:
    """Write both models, their specs and two pipelines."""
    specs = folder / "specs"
    specs.mkdir(parents=True)
    sha256 = {}
    for name, side, points in (("light-finder", FINDER_SIDE, False), ("light-points", POINT_SIDE, True)):
        data = light_graph(side, name, points)
        (specs / f"{name}.onnx").write_bytes(data)
        sha256[name] = hashlib.sha256(data).hexdigest()
        spec = {
            "name": name,
            "file": f"{name}.onnx",
            "licence": "MIT",
            "sha256": sha256[name],
            "size_bytes": len(data),
            "input": {"width": side, "height": side, "fit": "crop" if points else "letterbox_centre"},
            "outputs": ["points"] if points else ["scores", "boxes"],
            "decoder": "regression68" if points else "ultralight",
            "parameters": {"pixel_offset": -0.5} if points else {"score_threshold": 0.4, "nms_iou": 0.3},
        }
        (specs / f"{name}.yaml").write_text(yaml.safe_dump(spec))
    steps = [{"name": "light", "model": "light-points", "region": {"side": "fit"}}]
    pipelines = {
        "lights": {"title": "Lights", "landmark_set": "face-5", "points": 5, "find": "light-finder", "steps": steps},
        "lights-boxes": {"title": "Boxes", "landmark_set": None, "points": 0, "find": "light-finder"},
    }
    for name, pipeline in pipelines.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(pipeline))
    return TinyModels(specs, str(folder / "lights.yaml"), str(folder / "lights-boxes.yaml"), sha256)


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    return make_models(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny_models(model_files: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyModels:
    """The tiny models as a user's own; no mirror, an empty cache."""
    for name in ("LANDMARKS_MODEL_MIRROR", "LANDMARKS_PROVIDERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANDMARKS_MODEL_CACHE", str(tmp_path / "model-cache"))
    monkeypatch.setenv("LANDMARKS_MODEL_SPECS", str(model_files.specs))
    return model_files


@pytest.fixture
def bare_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page without pictures, which take most of the time of a small run."""
    monkeypatch.setattr("flows.detect.report.write_detect_report", lambda report, write: write("index.html", b"<p>"))


# --- pictures


class Blob(NamedTuple):
    """Where the light of a picture is; None for a black picture."""

    x: float
    y: float


def blob_of(index: int) -> Blob | None:
    """Where the blob of picture `index` is."""
    if index % EVERY_BLANK == EVERY_BLANK - 1:
        return None
    x, y = np.random.default_rng(index).uniform([10, 10], [WIDTH - 10, HEIGHT - 10])
    return Blob(float(x), float(y))


def picture(index: int) -> NDArray[np.uint8]:
    """(30, 40, 3): one blob on black, or nothing."""
    blob = blob_of(index)
    if blob is None:
        return np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    light = np.exp(-((x - blob.x) ** 2 + (y - blob.y) ** 2) / 8)
    return np.repeat((255 * light).round().astype(np.uint8)[..., None], 3, axis=2)


def png(index: int) -> bytes:
    """A picture as a PNG file."""
    return save(picture(index), "PNG")


def file_name(index: int) -> str:
    """Its name in folders and tars."""
    return f"{index:05d}.png"


def blanks(indices: Iterable[int]) -> int:
    """How many of these show nothing."""
    return sum(blob_of(index) is None for index in indices)


# --- sources


def write_folder(folder: Path, indices: Iterable[int], depth: bool = False) -> str:
    """Pictures as files, in sub-folders if `depth`."""
    for index in indices:
        place = folder / f"part-{index % 3}" if depth else folder
        place.mkdir(parents=True, exist_ok=True)
        (place / file_name(index)).write_bytes(png(index))
    return str(folder)


def tar_bytes(indices: Iterable[int], mode: str = "w") -> bytes:
    """Pictures as a tar."""
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode=mode) as archive:  # type: ignore[call-overload]
        for index in indices:
            data = png(index)
            info = tarfile.TarInfo(file_name(index))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stored.getvalue()


def write_tars(folder: Path, n: int, per_shard: int, suffix: str = ".tar") -> str:
    """n pictures as tars of `per_shard` each."""
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, n, per_shard):
        mode = "w:gz" if suffix.endswith("gz") else "w"
        data = tar_bytes(range(start, min(start + per_shard, n)), mode)
        (folder / f"{start:05d}{suffix}").write_bytes(data)
    return str(folder)


def picture_table(n: int, **columns: Any) -> pa.Table:
    """n pictures as a table of bytes, with ids."""
    given = {"image": [png(index) for index in range(n)], "id": [file_name(index) for index in range(n)]}
    return pa.table(given | columns)


def write_image_parquet(path: Path, n: int, row_group_size: int, **columns: Any) -> str:
    """n pictures as a Parquet file."""
    pq.write_table(picture_table(n, **columns), path, row_group_size=row_group_size)
    return str(path)


def write_image_delta(path: Path, n: int) -> str:
    """n pictures as a Delta table of several files."""
    table = picture_table(n)
    for start in range(0, n, 15):
        write_deltalake(str(path), table.slice(start, 15), mode="append")
    return str(path)


def write_image_zarr(path: Path, n: int, chunk: int) -> str:
    """n pictures as a Zarr array."""
    data = np.stack([picture(index) for index in range(n)])
    zarr.create_group(path).create_array("images", data=data, chunks=(chunk, HEIGHT, WIDTH, 3))
    return str(path)


# --- runs and what they left


def detect_config(source: str, output: Path | str, pipeline: str, /, **sections: Any) -> dict[str, Any]:
    """A config; keywords replace or extend whole sections, key by key, and None takes a key away."""
    config: dict[str, Any] = {
        "source": {"uri": source},
        "detector": {"pipeline": pipeline},
        "output": {"uri": str(output)},
        "cluster": {"workers": 2},
        "report": {"sample": 4},
    }
    for name, section in sections.items():
        config[name] = {key: value for key, value in {**config[name], **section}.items() if value is not None}
    return config


def run_detect(config: Mapping[str, Any]) -> dict[str, Any]:
    """Run the detect flow in this process, against the Prefect server of the session."""
    from flows.detect.flow import detect

    return dict(detect(DetectConfig.model_validate(config)))


def rows(output: Path | str, name: str = "keypoints") -> list[dict[str, Any]]:
    """The rows of a Delta table, read by deltalake alone."""
    return list(DeltaTable(f"{output}/{name}").to_pyarrow_table().to_pylist())


def found_by_index(output: Path | str) -> dict[int, list[Any]]:
    """Index of a picture to score, box and points of its instances; the last digits of the image id tell the index."""
    table: dict[int, list[Any]] = {index_of(row["image_id"]): [] for row in rows(output, "images")}
    for row in sorted(rows(output), key=lambda row: row["instance"]):
        table[index_of(row["image_id"])].append((row["score"], row["box"], row["keypoints"]))
    return table


def index_of(image_id: str) -> int:
    """The number at the end of an image id, without a suffix."""
    return int(image_id.rpartition("/")[2].removesuffix(".png"))


def once(output: Path | str, n: int, generations: int = 1) -> None:
    """Exactly one row set per image and generation, every table agreeing, and nothing left on its way."""
    images = rows(output, "images")
    seen = Counter((row["config_hash"], row["image_id"]) for row in images)
    assert len(seen) == n * generations
    assert set(seen.values()) == {1}
    told = {(row["config_hash"], row["image_id"]): row["instances"] for row in images}
    kept = Counter((row["config_hash"], row["image_id"]) for row in rows(output))
    assert kept == Counter({key: count for key, count in told.items() if count})
    failed = Counter((row["config_hash"], row["image_id"]) for row in rows(output, "failures"))
    assert failed == Counter({key: 1 for key, count in told.items() if count is None})
    left = left_behind(output)
    assert left == [], left


def left_behind(output: Path | str) -> list[str]:
    """Claims and marks of attempts, and the lock."""
    private = Path(output) / "_landmark_ops"
    stale = [path for part in ("claims", "attempts") for path in (private / part).rglob("*") if path.is_file()]
    return [str(path) for path in [*stale, *Path(output).glob("*.lock")]]


def watched_shards(patch: pytest.MonkeyPatch) -> list[str]:
    """Shards that workers of this process take up from now on, in order."""
    from flows.detect import shard_task as detecting

    plain, seen = detecting._detect, list[str]()

    def watch(shard: Any, *rest: Any) -> Any:
        seen.append(shard.id)
        return plain(shard, *rest)

    patch.setattr(detecting, "_detect", watch)
    return seen
