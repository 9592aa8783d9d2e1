"""The output group: made, filled by chunk, completed; readable with plain zarr and xarray, damage detected."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr

from landmark_ops.errors import DamagedError, InputError, RunError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.stores.embeddings.unfinished import can_resume
from landmark_ops.stores.embeddings.zarr.store import ZarrStore

N, K, STEP = 10, 3, 4


@pytest.fixture
def store(tmp_path):
    store = ZarrStore(str(tmp_path / "out.zarr"))
    store.create({"method": "landmark_mds", "seed": 0})
    store.allocate(N, K, STEP)
    return store


def fill(store: ZarrStore, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    embedding, residual = rng.random((N, K), np.float32), rng.random(N, np.float32)
    for start in range(0, N, STEP):
        store.write(start, embedding[start : start + STEP], residual[start : start + STEP])
    return embedding, residual


def told(attributes: dict) -> dict:
    """The attributes, without those of the store itself."""
    return {name: value for name, value in attributes.items() if name not in ("build", "slot", "sha256")}


def flip(path: Path, at: int = 5) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_round_trip(store, rng):
    embedding, residual = fill(store, rng)
    assert store.shape == (N, K)
    for start, stop in ((0, N), (3, 9), (9, 10), (5, 5)):
        found = store.read(start, stop)
        np.testing.assert_array_equal(found[0], embedding[start:stop])
        np.testing.assert_array_equal(found[1], residual[start:stop])
        assert found[0].dtype == found[1].dtype == np.float32


def test_plain_zarr_reads_it(store, rng):
    embedding, residual = fill(store, rng)
    group = zarr.open_group(store.uri, mode="r")
    assert group.metadata.zarr_format == 3
    np.testing.assert_array_equal(group["embedding"][:], embedding)
    np.testing.assert_array_equal(group["residual"][:], residual)
    assert group["embedding"].chunks == (STEP, K)
    assert group["embedding"].metadata.dimension_names == ("row", "component")
    assert told(group.attrs["landmark_ops"]) == {"method": "landmark_mds", "seed": 0, "status": "partial"}


def test_xarray_reads_it(store, rng):
    embedding, residual = fill(store, rng)
    found = xarray.open_zarr(store.uri)
    assert found["embedding"].dims == ("row", "component")
    np.testing.assert_array_equal(found["embedding"].values, embedding)
    np.testing.assert_array_equal(found["residual"].values, residual)


def test_a_missing_chunk_is_no_row_of_fill_values(store):
    """Zarr gives its fill value for it; rows without coordinates are stored, and read as what they are."""
    nothing = np.full((4, K), np.nan, np.float32)
    store.write(4, nothing, nothing[:, 0])
    for found in store.read(4, 8):
        assert np.isnan(found).all()
    for start, stop, chunk in ((0, N, "c/0/0"), (0, 4, "c/0/0"), (1, 2, "c/0/0"), (6, 9, "c/2/0"), (9, 10, "c/2/0")):
        with pytest.raises(DamagedError, match=rf"out\.zarr: chunk embedding/{chunk} is missing"):
            store.read(start, stop)


def test_one_write_touches_one_object_per_array(store):
    """So that no two writers share one: partial writes from two processes lose rows."""
    store.write(4, np.ones((4, K), np.float32), np.ones(4, np.float32))
    objects = {str(path.relative_to(store.uri)) for path in Path(store.uri).rglob("*") if path.is_file()}
    assert {path for path in objects if "/c/" in path} == {"embedding/c/1/0", "residual/c/1"}


def test_an_embedding_shorter_than_a_chunk(tmp_path):
    store = ZarrStore(str(tmp_path / "out.zarr"))
    store.create({})
    store.allocate(1, 1, 1000)
    store.write(0, np.ones((1, 1), np.float32), np.zeros(1, np.float32))
    assert store.read(0, 1)[0].tolist() == [[1.0]]


def test_from_partial_to_complete(store):
    assert store.read_status()["status"] == "partial"
    store.update(rank=3)
    store.update(status="complete", quality={"stress": 0.1})
    expected = {"method": "landmark_mds", "seed": 0, "rank": 3, "quality": {"stress": 0.1}, "status": "complete"}
    assert store.read_status() == store.read_attributes()
    assert told(store.read_status()) == expected


def test_nothing_there(tmp_path):
    assert ZarrStore(str(tmp_path / "no")).read_status() is None
    (tmp_path / "empty").mkdir()
    assert ZarrStore(str(tmp_path / "empty")).read_status() is None


def foreign_file(place: Path) -> None:
    place.write_text("precious")


def foreign_folder(place: Path) -> None:
    place.mkdir()
    (place / "thesis.tex").write_text("precious")


def foreign_array(place: Path) -> None:
    zarr.create_array(place, data=np.ones(3))


def foreign_group(place: Path) -> None:
    zarr.create_group(place, attributes={"other_tool": {}})


def foreign_v2_group(place: Path) -> None:
    zarr.create_group(place, zarr_format=2, attributes={"landmark_ops": {}})


def torn_group(place: Path) -> None:
    place.mkdir()
    (place / "zarr.json").write_text('{"zarr_format": 3, "node_ty')


def foreign_attribute(place: Path) -> None:
    zarr.create_group(place, attributes={"landmark_ops": 5})


@pytest.mark.parametrize(
    "make",
    [foreign_file, foreign_folder, foreign_array, foreign_group, foreign_v2_group, torn_group, foreign_attribute],
)
def test_what_is_not_ours_is_refused(tmp_path, make):
    place = tmp_path / "x"
    make(place)
    with pytest.raises(InputError, match=r"x: holds something that is no embedding of ours and is never overwritten"):
        ZarrStore(str(place)).read_status()
    assert place.exists()


def test_creating_anew_forgets_the_old(store, rng):
    fill(store, rng)
    store.update(status="complete", rank=3)
    store.put("landmarks", {"indices": np.arange(5)}, {})
    store.create({"method": "nystroem"})
    assert told(store.read_status()) == {"method": "nystroem", "status": "partial"}
    assert [path.name for path in Path(store.uri).iterdir()] == ["zarr.json"]


def test_a_process_may_outlive_an_output(store, rng):
    """Arrays are opened once per process, and again where the output was replaced by one of another shape."""
    fill(store, rng)
    store.create({})
    store.allocate(20, 2, 5)
    store.write(5, np.ones((5, 2), np.float32), np.zeros(5, np.float32))
    assert store.shape == (20, 2)
    assert store.read(5, 10)[0].tolist() == [[1.0, 1.0]] * 5


def test_small_arrays(store):
    arrays = {"indices": np.arange(5), "points": np.eye(5), "nothing": np.empty((0, 3))}
    store.put("landmarks", arrays, {"indices": ("landmark",)})
    found = store.get("landmarks")
    assert found.keys() == arrays.keys()
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
    group = zarr.open_group(store.uri, mode="r")
    assert group["landmarks/indices"].metadata.dimension_names == ("landmark",)
    store.put("landmarks", {"indices": np.arange(3)}, {})
    assert store.get("landmarks")["indices"].tolist() == [0, 1, 2]


MAP = {"landmarks": np.arange(6.0).reshape(2, 3), "readout": np.ones((2, 1))}
META = {"block": "sq_dists", "metric": "euclidean", "metric_params": {"p": 3.0}}


def test_the_map_comes_back(store):
    sha256 = store.put_map(MAP, META)
    arrays, meta = store.get_map(sha256)
    assert meta == META
    assert arrays.keys() == MAP.keys()
    for name, values in MAP.items():
        np.testing.assert_array_equal(arrays[name], values)
    assert store.put_map(MAP, META) == sha256
    assert store.put_map({**MAP, "readout": np.full((2, 1), 1 + 1e-16 * 3)}, META) != sha256
    assert store.put_map(MAP, {**META, "metric": "cityblock"}) != sha256


def test_a_real_map_comes_back(store, rng):
    from landmark_ops.numerics.kernel import KernelChoice
    from landmark_ops.solver.features import nystrom_features

    fitted = nystrom_features(KernelChoice(), rng.normal(size=(9, 4)), np.dtype(np.float32), 3).map
    X = rng.normal(size=(20, 4))
    again = LandmarkMap.from_state(*store.get_map(store.put_map(*fitted.to_state())))
    np.testing.assert_array_equal(again(X), fitted(X))


@pytest.mark.parametrize("damage", ["flipped byte", "other content", "chunk gone", "array gone", "map gone"])
def test_a_damaged_map_is_refused(store, damage):
    sha256 = store.put_map(MAP, META)
    chunk = Path(store.uri, "map/landmarks/c/0/0")
    if damage == "flipped byte":
        flip(chunk)
    elif damage == "other content":
        store.put("map", {"landmarks": MAP["landmarks"] + 1}, {})
    elif damage == "chunk gone":
        chunk.unlink()
    elif damage == "array gone":
        os.rename(Path(store.uri, "map/landmarks"), Path(store.uri, "elsewhere"))
    else:
        os.rename(Path(store.uri, "map"), Path(store.uri, "elsewhere"))
    with pytest.raises(RunError, match=rf"the stored map has not the hash {sha256[:12]} .* damaged: .*overwrite: true"):
        store.get_map(sha256)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "a disk"), PermissionError(errno.EACCES, "not for you")])
def test_storage_that_fails_is_no_damage_and_gives_nothing_up(store, error, monkeypatch):
    """A map that cannot be read right now must not be replaced, and the run can be resumed later."""
    sha256 = store.put_map(MAP, META)
    store.put("landmarks", {"indices": np.arange(3)}, {})
    store.update(map_sha256=sha256)
    assert can_resume(store)

    async def fails(*_, **__):
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(zarr.storage.LocalStore, "get", fails)
        for read in (lambda: store.get_map(sha256), lambda: can_resume(store)):
            with pytest.raises(RunError, match=r"map/.* cannot be read: .*, then run again") as found:
                read()
            assert not isinstance(found.value, DamagedError)
    assert can_resume(store)


@pytest.mark.parametrize("chunk", ["embedding/c/1/0", "residual/c/1"])
@pytest.mark.parametrize("at", [0, 7, -1])
def test_a_flipped_byte_is_detected(store, rng, chunk, at):
    fill(store, rng)
    flip(Path(store.uri, chunk), at)
    with pytest.raises(ValueError, match="checksum"):
        store.read(0, N)
    store.read(0, 4)  # other chunks are whole


def test_an_output_that_has_gone(store, tmp_path):
    os.rename(store.uri, tmp_path / "moved")
    with pytest.raises(RunError, match=r"out\.zarr: the output has gone"):
        store.update(status="complete")
    with pytest.raises(RunError, match=r"out\.zarr: the output has gone"):
        store.write(0, np.ones((4, K), np.float32), np.ones(4, np.float32))


def test_a_full_disk_names_the_chunk(store, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zarr.storage._local._put", refuse)
    with pytest.raises(
        RunError, match=r"/embedding/c/1/0: cannot be written: No space left on device: free some space"
    ):
        store.write(4, np.ones((4, K), np.float32), np.ones(4, np.float32))


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/out\.zarr: cannot be written: Not a directory: choose a place"):
        ZarrStore(str(tmp_path / "file" / "out.zarr")).create({})


def test_addresses_are_normalised(tmp_path):
    assert ZarrStore(f"file://{tmp_path}/out.zarr/").uri == f"{tmp_path}/out.zarr"


def test_in_memory_filesystems_work_as_remote_ones(rng):
    """memory:// goes the way of s3://: a listing, no folders."""
    store = ZarrStore(f"memory://{rng.integers(1 << 60)}/out.zarr")
    assert store.read_status() is None
    store.create({"seed": 1})
    store.allocate(N, K, STEP)
    embedding, _ = fill(store, rng)
    np.testing.assert_array_equal(store.read(0, N)[0], embedding)
    assert store.get_map(store.put_map(MAP, META))[1] == META
    store.create({"seed": 2})
    assert told(store.read_status()) == {"seed": 2, "status": "partial"}
    store.allocate(N, 2, STEP)
    assert store.shape == (N, 2)


@pytest.mark.s3
def test_s3(s3_bucket, rng):
    store = ZarrStore(f"{s3_bucket}/lake/out.zarr")
    assert store.read_status() is None
    store.create({"seed": 1})
    store.allocate(N, K, STEP)
    embedding, residual = fill(store, rng)
    np.testing.assert_array_equal(store.read(2, 9)[0], embedding[2:9])
    store.update(status="complete")
    assert told(store.read_status()) == {"seed": 1, "status": "complete"}
    store.create({"seed": 2})
    assert told(store.read_status()) == {"seed": 2, "status": "partial"}
    store.allocate(N, 2, STEP)
    store.write(0, embedding[:4, :2], residual[:4])
    assert store.read(0, 4)[0].shape == (4, 2)


def test_an_output_that_goes_while_a_chunk_is_written(store, monkeypatch):
    """Between opening the arrays and writing: the folder that a new object is renamed into is no longer there."""

    async def gone(self, key, value, *rest):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("zarr.storage.LocalStore.set", gone)
    with pytest.raises(RunError, match=r"out\.zarr: the output has gone while it was being used"):
        store.write(0, np.ones((4, K), np.float32), np.ones(4, np.float32))
