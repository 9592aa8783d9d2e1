"""One call for notebooks: pictures in, keypoints out. Runs here; `landmarks detect` does the same on a cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landmark_ops.detectors.instances import Floats, Instances
from landmark_ops.detectors.pipeline_spec import Pipeline
from landmark_ops.detectors.pipelines import run_pipeline
from landmark_ops.detectors.registry import get_spec
from landmark_ops.detectors.sampling import Image
from landmark_ops.detectors.session import Session, load_session
from landmark_ops.errors import InputError
from landmark_ops.images.decode import DecodeFailure, decode
from landmark_ops.stores import locations

Picture = str | os.PathLike[str] | bytes | NDArray[np.uint8]


def detect(
    images: Picture | Sequence[Picture],
    pipeline: str | Pipeline = "face-mesh-468",
    *,
    thresholds: Mapping[str, float] | None = None,
    batch: int | None = None,
    boxes: ArrayLike | Sequence[ArrayLike | None] | None = None,
) -> list[Instances]:
    """Find faces, hands or bodies in pictures and the points of each.

    Parameters
    ----------
    images
        One picture or a sequence of them: paths or s3:// addresses, encoded bytes, or (H, W, 3) RGB uint8 arrays.
    pipeline
        A pipeline's name, such as face-5, face-68, face-mesh-468, hand-21, pose-33, coco-17, holistic-543, or the path
        of a YAML file of your own.
    thresholds
        score, nms_iou, max_side, min_face_px of the finder and presence of the point nets, in place of the models' own.
    batch
        Pictures or crops per run of a net, at most (16); results do not depend on it.
    boxes
        For each picture (n, 4) boxes of your own, x0, y0, x1, y1 in its pixels, or None for no box; for one picture
        just (n, 4). Nothing is searched then, and the rows come in the order of the boxes.

    Returns
    -------
    list of Instances
        One per picture, in order: boxes (n, 4), scores (n,), keypoints (n, K, 3) as x, y, z in pixels of the upright
        original with pixel centres at integers, keypoint_scores and visible (n, K), extra. NaN where a model does not
        tell.

    Raises
    ------
    InputError
        For a picture that cannot be decoded, boxes of another shape, an unknown pipeline or threshold.

    Examples
    --------
    >>> import numpy as np
    >>> detect([], "face-5")
    []
    """
    single = isinstance(images, str | bytes | os.PathLike) or (isinstance(images, np.ndarray) and images.ndim == 3)
    pictures = cast("list[Picture]", [images] if single else list(cast("Sequence[Picture]", images)))
    opened = [_open(picture, index) for index, picture in enumerate(pictures)]
    return run_pipeline(
        pipeline, opened, sessions=local_session, boxes=_per_picture(boxes, single), thresholds=thresholds, batch=batch
    )


@cache
def local_session(model: str) -> Session:
    """The session of a model by name, loaded once per process, fetched if needed."""
    return load_session(get_spec(model))


def _per_picture(boxes: ArrayLike | Sequence[ArrayLike | None] | None, single: bool) -> list[Floats | None] | None:
    if boxes is None:
        return None
    if single and np.ndim(cast("ArrayLike", boxes)) == 2:
        return [np.asarray(boxes, dtype=np.float64)]
    given = cast("Sequence[ArrayLike | None]", boxes)
    return [None if of is None else np.asarray(of, dtype=np.float64) for of in given]


def _open(picture: Picture, index: int) -> Image:
    if isinstance(picture, np.ndarray):
        return picture
    if isinstance(picture, bytes):
        data, name = picture, f"picture {index}"
    else:
        name = os.fspath(picture)
        data = locations.read_bytes(name)
    try:
        return decode(data).image
    except DecodeFailure as failure:
        raise InputError(f"{name}: {failure}: leave it out, or repair the file") from failure
