"""Landmarks added to an earlier embedding: coordinates stay where people know them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from landmark_ops import InputError, open_map
from tests.flows.running import arrays, attributes, landmark_indices, make_config, points, run_embed, write_npy

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")

X = points(n=400, d=6, rank=3)


def grown(tmp_path: Path, source: str, **landmarks: Any) -> dict[str, Any]:
    config = make_config(source, tmp_path / "new.zarr", landmarks={"count": 80, "add_to": str(tmp_path / "old.zarr")})
    config["landmarks"] |= landmarks
    return config


@pytest.fixture
def old(tmp_path: Path) -> str:
    source = write_npy(tmp_path / "x.npy", X)
    run_embed(make_config(source, tmp_path / "old.zarr"))
    return source


def test_old_landmarks_are_kept_and_stay_in_place(tmp_path: Path, old: str) -> None:
    run_embed(grown(tmp_path, old))
    before, after = landmark_indices(tmp_path / "old.zarr"), landmark_indices(tmp_path / "new.zarr")
    np.testing.assert_array_equal(after[:30], before)
    assert len(set(after.tolist())) == 80
    # rank 3 in 3 components: both maps keep every distance, so that alignment makes them one
    np.testing.assert_allclose(arrays(tmp_path / "new.zarr")[0], arrays(tmp_path / "old.zarr")[0], atol=2e-4)
    (moved,) = (value for name, value in attributes(tmp_path / "new.zarr")["facts"].items() if "moved" in name)
    assert moved < 1e-5


def test_a_source_that_has_grown(tmp_path: Path, old: str) -> None:
    more = write_npy(tmp_path / "more.npy", np.vstack([X, points(n=300, d=6, rank=3)[:100] + 1]))
    run_embed(grown(tmp_path, more))
    np.testing.assert_array_equal(landmark_indices(tmp_path / "new.zarr")[:30], landmark_indices(tmp_path / "old.zarr"))
    drift = arrays(tmp_path / "new.zarr")[0][:400] - arrays(tmp_path / "old.zarr")[0]
    assert np.sqrt((drift**2).mean()) < 0.5 * arrays(tmp_path / "old.zarr")[0].std()


def test_landmarks_that_are_no_longer_rows(tmp_path: Path, old: str) -> None:
    other = write_npy(tmp_path / "other.npy", X[::-1].copy())
    run_embed(grown(tmp_path, other))
    assert (landmark_indices(tmp_path / "new.zarr")[:30] == -1).all()
    np.testing.assert_allclose(arrays(tmp_path / "new.zarr")[0][::-1], arrays(tmp_path / "old.zarr")[0], atol=2e-4)


def test_the_same_again_is_complete(tmp_path: Path, old: str) -> None:
    run_embed(grown(tmp_path, old))
    assert run_embed(grown(tmp_path, old))["outcome"] == "already complete"


def test_not_more_landmarks_than_before(tmp_path: Path, old: str) -> None:
    with pytest.raises(InputError, match=r"landmarks\.count=30: there are 30 old landmarks already"):
        run_embed(grown(tmp_path, old, count=30))


def test_nothing_to_add_to(tmp_path: Path, old: str) -> None:
    with pytest.raises(InputError, match=r"landmarks\.add_to .*nowhere\.zarr: no complete embedding .*: nothing"):
        run_embed(grown(tmp_path, old, add_to=str(tmp_path / "nowhere.zarr")))
    zarr.open_group(tmp_path / "old.zarr").attrs["landmark_ops"] = {
        **attributes(tmp_path / "old.zarr"),
        "status": "partial",
    }
    with pytest.raises(InputError, match=r"no complete embedding to add to: its status is partial"):
        run_embed(grown(tmp_path, old))


def test_another_method_has_other_coordinates(tmp_path: Path, old: str) -> None:
    config = grown(tmp_path, old) | {"method": {"name": "nystroem_kernel_pca", "n_components": 3}}
    with pytest.raises(InputError, match=r"made by landmark_mds, this run is nystroem_kernel_pca"):
        run_embed(config)


def test_other_features_have_other_coordinates(tmp_path: Path, old: str) -> None:
    narrow = write_npy(tmp_path / "narrow.npy", X[:, :5].copy())
    with pytest.raises(InputError, match=r"its rows have 6 features, those of .* 5: the same features are needed"):
        run_embed(grown(tmp_path, narrow))


def test_kernel_coordinates_are_kept_too(tmp_path: Path) -> None:
    source = write_npy(tmp_path / "x.npy", X)
    method = {"name": "nystroem_kernel_pca", "n_components": 3, "gamma": 0.01}
    run_embed(make_config(source, tmp_path / "old.zarr") | {"method": method})
    run_embed(grown(tmp_path, source) | {"method": method})
    before, after = open_map(str(tmp_path / "old.zarr")), open_map(str(tmp_path / "new.zarr"))
    scale = np.abs(before(X)).max(axis=0)
    np.testing.assert_allclose(after(X) / scale, before(X) / scale, atol=0.05)
