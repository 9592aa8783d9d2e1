"""The outcome of each image of a batch, on a worker: the instances found in it, or why it failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.detect.earlier import digest_of
from flows.detect.job import Job
from flows.detect.tally import Tally
from landmark_ops.detectors.instances import Instances
from landmark_ops.detectors.pipeline_run import run_pipeline
from landmark_ops.detectors.regions import outside
from landmark_ops.detectors.session import NotANumber
from landmark_ops.images.decode import Decoded
from landmark_ops.images.isolated import Isolation, decode_safely
from landmark_ops.images.reasons import NET_UNDEFINED, DecodeFailure
from landmark_ops.keypoints.rows import ImageOutcome
from landmark_ops.shards.boxes import in_pixels, span_of
from landmark_ops.shards.member import BAD_BOXES, Member


class OpenMember(NamedTuple):
    """A member, its decoded picture, and (n, 4) boxes in pixels of the upright original."""

    member: Member
    sha256: str | None
    picture: Decoded
    boxes: NDArray[np.float64]


def outcomes_of(members: list[Member], job: Job, isolation: Isolation, tally: Tally) -> Iterator[ImageOutcome]:
    """The outcome of each image, in order. An image that cannot be read or searched fails alone."""
    opened: list[OpenMember] = []
    failed: dict[int, ImageOutcome] = {}
    for at, member in enumerate(members):
        try:
            picture, boxes = open_member(member, job, isolation)
            opened.append(OpenMember(member, digest_of(member), picture, boxes))
        except DecodeFailure as failure:
            why = failure.reason, failure.detail
            failed[at] = ImageOutcome(member.image_id, member.shard, member.member, digest_of(member), failure=why)
    answers = zip(opened, found_in(opened, job), strict=True)
    for at in range(len(members)):
        if at in failed:
            yield failed[at]
            continue
        one, here = next(answers)
        whose = one.member.image_id, one.member.shard, one.member.member, one.sha256
        if isinstance(here, NotANumber):
            yield ImageOutcome(*whose, failure=(NET_UNDEFINED, str(here)))
            continue
        picture = one.picture
        instances = here if picture.scale == 1 else here.scaled(picture.scale)
        tally.overlays.offer(one.member.image_id, picture, instances)
        yield ImageOutcome(*whose, picture.width, picture.height, instances)


def found_in(opened: list[OpenMember], job: Job) -> list[Instances | NotANumber]:
    """What the pipeline found in each picture; one on which a net overflows fails alone."""
    try:
        return list(
            run_pipeline(
                job.pipeline,
                [one.picture.image for one in opened],
                sessions=job.session,
                boxes=[one.boxes for one in opened] if job.boxes is not None else None,
                thresholds=job.thresholds,
                batch=job.batch,
            )
        )
    except NotANumber as error:
        if len(opened) == 1:
            return [error]
    return [here for one in opened for here in found_in([one], job)]


def open_member(member: Member, job: Job, isolation: Isolation) -> tuple[Decoded, NDArray[np.float64]]:
    """The decoded picture of a member and its boxes; DecodeFailure where either is unusable."""
    picture = open_picture(member, job, isolation)
    if member.boxes is None:
        return picture, np.empty((0, 4))
    width, height = picture.width, picture.height
    boxes = in_pixels(member.boxes, width, height, job.boxes == "relative")
    if (beyond := np.flatnonzero(outside(boxes, width, height))).size:
        told = f"{span_of(boxes, int(beyond[0]))}, outside the picture of {width} x {height}"
        raise DecodeFailure(BAD_BOXES, told)
    return picture, boxes


def open_picture(member: Member, job: Job, isolation: Isolation) -> Decoded:
    """The decoded picture; DecodeFailure where it cannot be decoded."""
    if member.failure is not None:
        raise DecodeFailure(*member.failure)
    if member.image is not None:
        height, width = member.image.shape[:2]
        if height * width > job.max_pixels:
            raise DecodeFailure("too_large", f"{width} x {height} pixels, the limit is {job.max_pixels}")
        return Decoded(member.image, width, height, 1.0)
    return decode_safely(member.data or b"", isolation=isolation, max_pixels=job.max_pixels, min_side=job.min_side)
