"""One call for notebooks: pictures in, keypoints out. Runs here; `landmarks detect` does the same on a cluster."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from landmark_ops.detectors.crops import Image
from landmark_ops.detectors.instances import Floats, Instances
from landmark_ops.detectors.models import get_spec
from landmark_ops.detectors.pictures import Picture, as_list, name_of, open_picture
from landmark_ops.detectors.pipeline_run import run_pipeline
from landmark_ops.detectors.pipeline_spec import Pipeline
from landmark_ops.detectors.pipelines import get_pipeline
from landmark_ops.detectors.regions import outside
from landmark_ops.detectors.session import Session, load_session
from landmark_ops.detectors.trial import is_shipped, try_out
from landmark_ops.errors import InputError, check_argument
from landmark_ops.images.decode import DecodeFailure

NOTHING: Image = np.zeros((1, 1, 3), np.uint8)
"""Stands in for a picture that cannot be read, so that the others keep their places."""


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
        One picture or a sequence of them: paths or s3:// addresses, encoded bytes, (H, W, 3) RGB uint8 arrays (or one
        array of (n, H, W, 3)), pictures of Pillow, which are brought upright.
    pipeline
        A pipeline's name, such as face-5, face-68, face-mesh-468, hand-21, pose-33, coco-17, holistic-543, or the path
        of a YAML file of your own.
    thresholds
        score, nms_iou, max_side, min_face_px of the finder and presence of the point nets, in place of the models' own.
    batch
        Pictures or crops per run of a net, at most (16); results do not depend on it.
    boxes
        For each picture (n, 4) boxes of your own, x0, y0, x1, y1 in its pixels, or None for no box; for one picture
        just (n, 4). Nothing is searched then, and the rows come in the order of the boxes. One that lies outside its
        picture is warned of, and has no points.

    Returns
    -------
    list of Instances
        One per picture, in order: boxes (n, 4), scores (n,), keypoints (n, K, 3) as x, y, z in pixels of the upright
        original with pixel centres at integers, keypoint_scores and visible (n, K), extra. NaN where a model does not
        tell. Of several pictures one that cannot be read costs itself alone: it is warned of, its result is empty, and
        `failure` says why.

    Raises
    ------
    InputError
        For one picture that cannot be read, for what is no picture, boxes of another shape, an unknown pipeline or
        threshold.

    Examples
    --------
    >>> import numpy as np
    >>> detect([], "face-5")
    []
    """
    check_argument("pipeline", pipeline, str | os.PathLike | Pipeline, "a name or the path of a YAML file")
    pictures, single = as_list(images)
    given = _per_picture(boxes, single)
    if given is not None and len(given) != len(pictures):
        raise InputError(
            f"boxes for {len(given)} images, got {len(pictures)} images: give one (n, 4) array, or None, per image"
        )
    opened: list[Image] = []
    failures: dict[int, str] = {}
    for index, picture in enumerate(pictures):
        try:
            opened.append(open_picture(picture, index))
        except DecodeFailure as failure:
            if single:
                told = f"{name_of(picture, index)}: {failure}: leave it out, or repair the file"
                raise InputError(told) from failure
            failures[index] = str(failure)
            warnings.warn(f"{name_of(picture, index)}: {failure}: it has no rows", stacklevel=2)
            opened.append(NOTHING)
    if failures and given is not None:
        given = [None if index in failures else of for index, of in enumerate(given)]
    for index, (of, image) in enumerate(zip(given or [], opened, strict=False)):
        if of is None or np.ndim(of) != 2:
            continue
        if (within := np.flatnonzero((np.abs(of) <= 1).all(axis=1))).size:
            raise InputError(
                f"box {within[0]} of {name_of(pictures[index], index)} lies within one pixel: boxes are in pixels, "
                "multiply shares by width and height"
            )
        if (beyond := np.flatnonzero(outside(of, image.shape[1], image.shape[0]))).size:
            warnings.warn(f"box {beyond[0]} of {name_of(pictures[index], index)} lies outside it", stacklevel=2)
    chosen = pipeline if isinstance(pipeline, Pipeline) else get_pipeline(pipeline)
    sessions = cache(local_session)
    if opened:
        _try_once(chosen, sessions)
    found = run_pipeline(chosen, opened, sessions=sessions, boxes=given, thresholds=thresholds, batch=batch)
    return [here.emptied(failures[index]) if index in failures else here for index, here in enumerate(found)]


_tried: set[tuple[Pipeline, tuple[str, ...]]] = set()


def _try_once(pipeline: Pipeline, sessions: Callable[[str], Session]) -> None:
    """Try a pipeline or models of a user's own before their first answer; see `trial`."""
    if is_shipped(pipeline):
        return
    key = (pipeline, tuple(sessions(name).spec.model_dump_json() for name in pipeline.models))
    if key not in _tried:
        try_out(pipeline, sessions)
        _tried.add(key)


def local_session(model: str) -> Session:
    """The session of a model by name, fetched if needed; its network is loaded once per process.

    The spec is read again at each call: a notebook's next answer is that of the spec as it is now.
    """
    return load_session(get_spec(model))


def _per_picture(boxes: ArrayLike | Sequence[ArrayLike | None] | None, single: bool) -> list[Floats | None] | None:
    if boxes is None:
        return None
    try:
        if single and np.ndim(cast("ArrayLike", boxes)) in (1, 2):
            alone = np.asarray(boxes, dtype=np.float64)
            return [alone[None] if alone.shape == (4,) else alone]
        given = cast("Sequence[ArrayLike | None]", boxes)
        return [None if of is None else np.asarray(of, dtype=np.float64) for of in given]
    except (TypeError, ValueError) as error:
        raise InputError(f"boxes are no numbers ({error}): give (n, 4) as x0, y0, x1, y1 for each image") from error
