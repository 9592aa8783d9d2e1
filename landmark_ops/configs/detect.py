"""Run parameters of `landmarks detect`; read by `landmark_ops.configs.embed.load_config` with the same rules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from landmark_ops.configs.choice import Choice
from landmark_ops.configs.embed import ClusterConfig
from landmark_ops.configs.section import Section
from landmark_ops.shards.format import config_formats
from landmark_ops.stores.tables.format import TABLES


class ShardsConfig(Section):
    """Where images come from: a folder tree, WebDataset tars, a Parquet or Delta column, a Zarr array.

    `version`: of a Delta table, the latest if not said.
    `paths`: the folder that the paths of rows without bytes lead from, where it is not the folder of the source.
    """

    uri: str
    format: Annotated[str, Choice(config_formats)] = "auto"
    glob: str | None = None
    column: str | None = None
    id_column: str | None = None
    paths: str | None = None
    version: Annotated[int, Field(ge=0)] | None = None


class BoxesConfig(Section):
    """The table column that holds the user's own boxes.

    `layout`: what four numbers are, corners if not said, or as the names of structs say. `relative`: shares of the
    picture's sides, 0 to 1, instead of pixels.
    """

    column: str
    layout: Literal["xyxy", "xywh", "cxcywh"] | None = None
    relative: bool = False


class DetectorConfig(Section):
    """Which pipeline finds what; or whose boxes are used, and which landmarks are found in them.

    `thresholds`: score, nms_iou, max_side, min_face_px of the finder and presence of the point nets, in place of the
    models' own. `batch`: images or crops per run of a net; results do not depend on it.
    """

    pipeline: str | None = None
    boxes: BoxesConfig | None = None
    landmarks: str | None = None
    thresholds: dict[str, float] = Field(default_factory=dict)
    batch: PositiveInt = 16
    max_pixels: PositiveInt = 100_000_000

    @model_validator(mode="after")
    def _one_way_or_the_other(self) -> DetectorConfig:
        if self.boxes is None and self.pipeline is None:
            raise ValueError("needs pipeline: NAME, or boxes: {column: NAME} with landmarks: NAME")
        if (self.boxes is None) != (self.landmarks is None):
            raise ValueError("boxes and landmarks belong together: boxes: {column: bbox}, landmarks: face-68")
        if self.boxes is not None and self.pipeline is not None:
            raise ValueError("pipeline finds its own boxes: give either pipeline, or boxes with landmarks")
        return self

    @property
    def name(self) -> str:
        """The pipeline that runs; with own boxes, the one whose landmarks are asked for."""
        return self.pipeline or self.landmarks or ""


class TablesConfig(Section):
    """Where the tables go: `<uri>/keypoints` and `<uri>/failures`, the page to `<uri>/report`."""

    uri: str
    format: Annotated[str, Choice(lambda: TABLES.names)] = "delta"


class OverlayConfig(Section):
    """How many images the overlay sheets show."""

    sample: Annotated[int, Field(ge=0, le=500)] = 24


class DetectConfig(Section):
    """All of one `landmarks detect` run."""

    source: ShardsConfig
    detector: DetectorConfig
    output: TablesConfig
    cluster: ClusterConfig = ClusterConfig()
    report: OverlayConfig = OverlayConfig()
