"""MTCNN's find stage: a pyramid of every image for the first net, crops of all images together for the other two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from landmark_ops.detectors.crops import Image, inputs
from landmark_ops.detectors.decoder import finder, refiner
from landmark_ops.detectors.decoders.mtcnn_pnet import WINDOW
from landmark_ops.detectors.decoders.parameters import number
from landmark_ops.detectors.finder_input import mapped_back, same_size, shrink
from landmark_ops.detectors.instances import Floats, Found, Parameters, nothing_found
from landmark_ops.detectors.nms import keep
from landmark_ops.detectors.session import Session
from landmark_ops.images.geometry import Affine, crop

#: Crops that go through the second net at once: of 24 px, so memory is no concern, but calls cost.
CROPS_PER_RUN = 256


class Nets(NamedTuple):
    """The three sessions and the parameters of each."""

    sessions: tuple[Session, Session, Session]
    parameters: tuple[Parameters, Parameters, Parameters]


def find_mtcnn(images: Sequence[Image], nets: Nets, batch: int) -> list[Found]:
    """Faces and five points of each image, in image pixels, best first."""
    candidates = _propose(images, nets, batch)
    refined = _refine(images, candidates, nets, 1)
    return _refine(images, refined, nets, 2)


def _propose(images: Sequence[Image], nets: Nets, batch: int) -> list[Found]:
    session, parameters = nets.sessions[0], nets.parameters[0]
    decode = finder(session.spec.decoder, session.spec.name)
    levels = [(i, *level) for i, image in enumerate(images) for level in _levels(image, parameters)]
    seen: list[list[Found]] = [[] for _ in images]
    for members in same_size([size for _, _, size in levels], batch):
        owners, affines = [levels[m][0] for m in members], [levels[m][1] for m in members]
        size = levels[members[0]][2]
        pixels = session.prepare(inputs([images[i] for i in owners], affines, size, session.spec.input, parameters))
        for i, affine, found in zip(owners, affines, decode(session.run(pixels), size, parameters), strict=True):
            seen[i].append(mapped_back(found, affine))
    merged = []
    for levels_of in seen:
        parts = levels_of or [nothing_found(0)]
        together = Found(*(np.concatenate(values) for values in zip(*parts, strict=True)))
        merged.append(keep(together, number(parameters, "nms_iou_merged")))
    return merged


def _levels(image: Image, parameters: Parameters) -> list[tuple[Affine, tuple[int, int]]]:
    """The pyramid of one image: largest first, none larger than max_side."""
    height, width = image.shape[:2]
    limit = number(parameters, "max_side", np.inf) / max(width, height)
    return [shrink(width, height, scale) for scale in pyramid(width, height, parameters) if scale <= limit]


def _refine(images: Sequence[Image], candidates: list[Found], nets: Nets, stage: int) -> list[Found]:
    """The second (1) or third (2) net on squares around the candidates of all images, then suppression per image."""
    session, parameters = nets.sessions[stage], nets.parameters[stage]
    decode = refiner(session.spec.decoder, session.spec.name)
    width, height = session.spec.input.width or 0, session.spec.input.height or 0
    owners = np.repeat(np.arange(len(images)), [len(found.boxes) for found in candidates])
    boxes = square(np.concatenate([found.boxes for found in candidates]))
    threshold, max_iou = number(parameters, "score_threshold"), number(parameters, "nms_iou")
    kept: list[list[Found]] = [[] for _ in images]
    for start in range(0, len(boxes), CROPS_PER_RUN):
        chunk = slice(start, start + CROPS_PER_RUN)
        affines = [
            crop(((x0 + x1) / 2, (y0 + y1) / 2), x1 - x0, y1 - y0, 0.0, width, height)
            for x0, y0, x1, y1 in boxes[chunk]
        ]
        pixels = session.prepare(
            inputs([images[i] for i in owners[chunk]], affines, (width, height), session.spec.input, parameters)
        )
        found = decode(session.run(pixels), (width, height), parameters)
        for j in np.flatnonzero(found.scores > threshold):
            one = Found(found.boxes[[j]], found.scores[[j]], found.keypoints[[j]])
            kept[owners[start + j]].append(mapped_back(one, affines[j]))
    n_keypoints = 0 if stage == 1 else 5
    return [
        keep(Found(*(np.concatenate(v) for v in zip(*(of or [nothing_found(n_keypoints)]), strict=True))), max_iou)
        for of in kept
    ]


def square(boxes: Floats) -> Floats:
    """Boxes (n, 4) grown about their centres to squares of their longer sides: the regions the next net sees."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.hstack([centre - half, centre + half])


def pyramid(width: int, height: int, parameters: Parameters) -> list[float]:
    """Scales at which the first net looks at an image, largest first: min_face_px become 12 px."""
    scale, factor = WINDOW / number(parameters, "min_face_px"), number(parameters, "scale_factor")
    scales = []
    while min(width, height) * scale >= WINDOW:
        scales.append(scale)
        scale *= factor
    return scales
