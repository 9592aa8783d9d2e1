from __future__ import annotations

import doctest

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness

from landmark_ops import InputError, LandmarkMDS, layout_init
from landmark_ops.stores.embeddings import initial
from landmark_ops.stores.embeddings.zarr.store import ZarrStore


def test_scales(rng):
    Y = rng.normal(size=(300, 4)) * [9, 3, 1, 1] + 5
    start = layout_init(Y)
    assert start.shape == (300, 2)
    assert start[:, 0].std() == pytest.approx(1e-4)
    np.testing.assert_allclose(start.mean(axis=0), 0, atol=1e-18)
    np.testing.assert_allclose(start[:, 1].std() / start[:, 0].std(), Y[:, 1].std() / Y[:, 0].std())
    assert np.abs(layout_init(Y, 3, scale="umap")).max() == pytest.approx(10)


def test_of_a_complete_output_alone(tmp_path, rng):
    store = ZarrStore(str(tmp_path / "out.zarr"))
    store.create({})
    store.allocate(60, 3, 20)
    Y = rng.normal(size=(60, 3)).astype(np.float32)
    for at in range(0, 60, 20):
        store.write(at, Y[at : at + 20], np.zeros(20, np.float32))
    with pytest.raises(InputError, match=r"out\.zarr: no complete embedding to start from: its status is partial"):
        layout_init(store.uri)
    store.update(status="complete")
    np.testing.assert_array_equal(layout_init(store.uri), layout_init(Y))


@pytest.mark.parametrize(
    ("Y", "options", "match"),
    [
        (np.zeros((5, 1)), {}, r"shape \(5, 1\): 2 components are needed"),
        (np.full((5, 2), np.nan), {}, r"5 of 5 rows have no coordinates"),
        (np.ones((5, 2)), {}, r"all rows have the same coordinates"),
        (np.eye(5), {"scale": "pca"}, r"scale 'pca' is unknown: choose tsne or umap"),
    ],
)
def test_what_cannot_be_started_from(Y, options, match):
    with pytest.raises(InputError, match=match):
        layout_init(Y, **options)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_worked_example_with_opentsne():
    """docs/layouts.md: t-SNE from landmark coordinates keeps digits apart, and near where the landmarks had them."""
    opentsne = pytest.importorskip("openTSNE", reason="openTSNE, one of the dev extras, is not installed")
    X = load_digits().data[:600]
    Y = LandmarkMDS(2, n_landmarks=200, random_state=0).fit_transform(X)
    start = layout_init(Y)
    layout = np.asarray(opentsne.TSNE(n_jobs=1, initialization=start, random_state=0, n_iter=250).fit(X))
    assert trustworthiness(X, layout) > 0.97
    axes = [abs(np.corrcoef(layout[:, axis], Y[:, axis])[0, 1]) for axis in (0, 1)]
    assert min(axes) > 0.5


def test_the_docstring_example():
    result = doctest.testmod(initial)
    assert result.attempted > 0
    assert result.failed == 0
