"""Arguments of another type are refused in one line, by every public function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import landmark_ops
from landmark_ops import InputError

X = np.random.default_rng(0).random((40, 3))
MAP = landmark_ops.LandmarkMDS(2, n_landmarks=20, random_state=0).fit(X).map_
PICTURE = np.zeros((9, 9, 3), np.uint8)

CALLS: dict[str, Callable[[Any], Any]] = {
    "select_landmarks X": lambda wrong: landmark_ops.select_landmarks(wrong, 5),
    "select_landmarks m": lambda wrong: landmark_ops.select_landmarks(X, wrong),
    "select_landmarks strategy": lambda wrong: landmark_ops.select_landmarks(X, 5, wrong),
    "select_landmarks metric": lambda wrong: landmark_ops.select_landmarks(X, 5, "maxmin", metric=wrong),
    "select_landmarks kernel": lambda wrong: landmark_ops.select_landmarks(X, 5, "leverage", kernel=wrong),
    **{
        f"select_landmarks {name}": lambda wrong, name=name: landmark_ops.select_landmarks(
            X, 5, "rpcholesky", **{name: wrong}
        )
        for name in ("gamma", "degree", "coef0", "nu", "tolerance", "random_state")
    },
    "open_rows uri": landmark_ops.open_rows,
    "open_rows version": lambda wrong: landmark_ops.open_rows("x.npy", version=wrong),
    "open_map uri": landmark_ops.open_map,
    "layout_init embedding": landmark_ops.layout_init,
    "layout_init n_components": lambda wrong: landmark_ops.layout_init(X, wrong),
    "layout_init scale": lambda wrong: landmark_ops.layout_init(X, 2, scale=wrong),
    "align_map new": lambda wrong: landmark_ops.align_map(wrong, MAP),
    "align_map old": lambda wrong: landmark_ops.align_map(MAP, wrong),
    "align_map points": lambda wrong: landmark_ops.align_map(MAP, MAP, wrong),
    "detect images": landmark_ops.detect,
    "detect pipeline": lambda wrong: landmark_ops.detect(PICTURE, wrong),
}


@pytest.mark.parametrize("wrong", ["no such thing", object(), {"a": 1}], ids=["str", "object", "dict"])
@pytest.mark.parametrize("name", list(CALLS))
def test_wrong_types_are_refused_in_one_line(name: str, wrong: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as refused:
        CALLS[name](wrong)
    assert "\n" not in str(refused.value)
