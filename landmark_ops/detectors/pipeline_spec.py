"""A pipeline as data: which net finds, which regions are cropped, which net reads their points, what is published.

`pipelines` lists them; `pipeline_run` runs one.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from landmark_ops.keypoints.landmark_sets import LandmarkSet, landmark_set
from landmark_ops.keypoints.set_file import SetFile, set_of

Indices = Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RegionRule(_Part):
    """How a region to crop follows from an instance's box and points.

    around: its box, or the extent of `points` in the turned frame. axis: two lists of points; the line from the mean of
    the first to the mean of the second is turned to `upright` degrees (0: to the right, 90: upwards), none: no turn.
    centre: the mean of these points instead of the middle of the extent. side: of the region before `scale`:
    long (the longer side of the extent), mean (of both sides), circle (twice the distance from the centre to the
    farthest of `points`), fit (the extent itself, clipped to the image, with black bars to the input's shape). shift:
    moves the centre along the turned axes, in widths and heights of the extent (in mean sides where side is mean).
    mirror: the crop is mirrored left to right.
    """

    around: Literal["box", "points"] = "box"
    points: tuple[NonNegativeInt, ...] = ()
    axis: tuple[Indices, Indices] | None = None
    upright: Literal[0, 90] = 0
    centre: tuple[NonNegativeInt, ...] = ()
    side: Literal["long", "mean", "circle", "fit"] = "long"
    scale: PositiveFloat = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    mirror: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.around == "points" or self.side == "circle") and not self.points:
            raise ValueError("around: points and side: circle need points, the indices they are measured on")
        if self.side == "fit" and (self.axis or self.around == "points" or self.shift != (0.0, 0.0) or self.scale != 1):
            raise ValueError("side: fit is the upright box itself: leave axis, points, shift and scale out")
        return self

    @property
    def needs_points(self) -> bool:
        """Whether the rule can work from a box alone."""
        return bool(self.axis or self.centre or self.points)


class Step(_Part):
    """One net that reads points in crops.

    of: the step whose points its regions follow from, none: the finder's. region: the rule for that. boxed: the rule
    for a caller's own boxes, which come without points. again: with a caller's boxes (`again_always`: always) the net
    reads a second time, in the region that follows from its own points. presence: whether its presence score decides:
    the first step's over the instance, a later step's over its own points, which turn NaN.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    model: str
    of: str | None = None
    region: RegionRule = RegionRule()
    boxed: RegionRule | None = None
    again: RegionRule | None = None
    again_always: bool = False

    @model_validator(mode="after")
    def _boxes_have_no_points(self) -> Self:
        if self.boxed is not None and self.boxed.needs_points:
            raise ValueError("boxed is for boxes that come without points: leave axis, centre and points out of it")
        return self


class Pipeline(_Part):
    """A pipeline: find → crop → points → map back.

    find: model of the finder; none: the whole image is one region. also: a second finder with the same points, whose
    boxes are added where they overlap none of the first's. refine: MTCNN's later nets. A pipeline without steps
    publishes what the finder found. landmark_set, points: the published set and its size, 0 for boxes alone; in a
    user's own file landmark_set may be the path of a YAML file, relative to it, which becomes `own_set`. boxes:
    published are the finder's, or the extent of the points.
    """

    name: str
    title: str
    landmark_set: str | None
    points: NonNegativeInt
    find: str | None = None
    also: str | None = None
    refine: tuple[str, str] | None = None
    steps: tuple[Step, ...] = ()
    boxes: Literal["find", "points"] = "find"
    batch: PositiveInt = 16
    own_set: SetFile | None = None

    @model_validator(mode="after")
    def _joined(self) -> Self:
        if self.find is None and not self.steps:
            raise ValueError("a pipeline needs find, steps, or both")
        seen: set[str] = set()
        for step in self.steps:
            if step.of is not None and step.of not in seen:
                raise ValueError(f"step {step.name} follows from {step.of!r}, which is no earlier step")
            if step.name in seen:
                raise ValueError(f"two steps are named {step.name!r}")
            if step.of is None and step.region.needs_points and (self.find is None or step.boxed is None):
                raise ValueError(f"step {step.name} needs points: give it a finder, and boxed for a caller's own boxes")
            seen.add(step.name)
        return self

    @property
    def points_set(self) -> LandmarkSet | None:
        """The landmark set of its points; None where it publishes boxes alone, or points that are only numbered."""
        if self.own_set is not None:
            return set_of(self.own_set)
        return landmark_set(self.landmark_set) if self.landmark_set is not None and self.points else None

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the model specs it runs, each once, in order."""
        names = [self.find, self.also, *(self.refine or ()), *(step.model for step in self.steps)]
        return tuple(dict.fromkeys(name for name in names if name))
