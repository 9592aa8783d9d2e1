"""One model as data: its file and hash, licence, input, outputs, decoder and thresholds.

A spec is a YAML file of `specs/`, or one of a user's own with the same keys. Reading one runs no code and touches no
model file; `model_file` finds the file, `session` loads it. Specs pickle and travel to workers; sessions never do.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from landmark_ops.configs.mistake import first_mistake
from landmark_ops.detectors.decoder import known_decoder
from landmark_ops.errors import InputError

#: Ways in which an image or region is brought to the input's size, in the order in which people meet them.
Fit = Literal["letterbox_centre", "letterbox_topleft", "stretch", "pad", "crop"]
Number = float | int
#: Parameters of a decoder: thresholds, strides, anchors. Plain YAML values.
Parameter = bool | int | float | str | list[Number | str] | list[list[Number]]

MAX_MODEL_BYTES = 2**31  # protobuf's own limit


def _https(url: str) -> str:
    if not url.startswith("https://") or len(url) < 10:
        raise ValueError(f"{url!r} is no https:// address: models are fetched over TLS alone")
    return url


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith(("/", "~")) or ".." in parts or "\\" in path or "://" in path or "\0" in path:
        raise ValueError(f"{path!r} is no relative path of forward slashes without '..': keep the file beside its spec")
    return path


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Https = Annotated[str, AfterValidator(_https)]
RelativePath = Annotated[str, AfterValidator(_inside)]
Size = Annotated[int, Field(gt=0, le=MAX_MODEL_BYTES)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Side = Annotated[int, Field(gt=0, le=8192)]


class _Part(BaseModel):
    """A part of a spec: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class InputSpec(_Part):
    """The one input tensor: how (n, h, w, 3) RGB uint8 becomes what the network was trained on.

    `width`, `height`: pixels, None where the network takes any, then a multiple of `multiple`. `mean`, `std`: per
    channel in the order of `colour`, on the 0..255 scale: (x - mean) / std. `transpose_xy`: rows and columns change
    places (MTCNN's nets). `fit`: how an image or region is brought to the size. `border`: what lies beyond the image,
    black (0, 0, 0) or the nearest colour of its edge. `sampling`: `exact`, or `mediapipe` for nets that were trained
    on crops of MediaPipe's, whose grid lies half a pixel off and is not the same; see `crops`.
    `max_batch`: 1 where the file has a fixed batch, None where any number of images go in at once.
    """

    name: str | None = None
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    width: Side | None = None
    height: Side | None = None
    multiple: PositiveInt = 1
    colour: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1.0, 1.0, 1.0)
    dtype: Literal["float32", "uint8"] = "float32"
    transpose_xy: bool = False
    fit: Fit = "letterbox_centre"
    border: Literal["black", "replicate"] = "black"
    sampling: Literal["exact", "mediapipe"] = "exact"
    max_batch: PositiveInt | None = None

    @model_validator(mode="after")
    def _bytes_are_not_normalised(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("give both width and height, or neither where the network takes any size")
        if self.sampling == "mediapipe" and (self.fit not in ("letterbox_centre", "crop") or self.width is None):
            raise ValueError("sampling: mediapipe needs a fixed width and height, and fit: letterbox_centre or crop")
        if self.dtype == "uint8" and (self.mean != (0.0, 0.0, 0.0) or self.std != (1.0, 1.0, 1.0)):
            raise ValueError("a uint8 input takes bytes as they are: leave mean and std out, or use dtype: float32")
        if min(self.std) < 1 or any(mean != 0 and not 1 <= mean <= 255 for mean in self.mean):
            raise ValueError(
                f"mean {list(self.mean)} and std {list(self.std)} are not on the 0..255 scale of pixels: those of "
                "pixels divided by 255, such as 0.485 and 0.229, have to be multiplied by 255"
            )
        return self


class Original(_Part):
    """One file as its authors publish it, in their own format."""

    url: Https
    sha256: Sha256
    size_bytes: Size


class Conversion(_Part):
    """Where a model is not published as ONNX: the originals, and how the ONNX file is made of them.

    `format` names the converter. `outputs` names the outputs of the original in its own order, `drop` those of them
    left out. The converted file's bytes are as fixed as a published file's: the spec's sha256 is theirs.
    """

    format: Literal["tflite", "tflite-int8", "torch", "face-api"]
    originals: Annotated[tuple[Original, ...], Field(min_length=1)]
    outputs: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class ModelSpec(_Part):
    """One model: everything needed to fetch, check, load, feed and decode its file, and what its licence allows.

    `file` is the path under a mirror, `<model>/<file>`; for a user's own spec the path relative to the spec file.
    `sha256` and `size_bytes` are those of the ONNX file. It is published at `url`, or made from others by
    `conversion`; a user's own file may have neither. `outputs` are names in the ONNX file, in the order in which the
    decoder takes them; `parameters` go to the decoder as they are. `folder` is set by the registry: where the user's
    spec file lies.
    """

    name: Name
    file: RelativePath
    landmark_set: str | None = None
    licence: str
    licence_notes: tuple[str, ...] = ()
    url: Https | None = None
    conversion: Conversion | None = None
    sha256: Sha256
    size_bytes: Size
    input: InputSpec = InputSpec()
    outputs: Annotated[tuple[str, ...], Field(min_length=1)]
    decoder: Name
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    folder: str | None = Field(default=None, exclude=True, repr=False)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.url is not None and self.conversion is not None:
            raise ValueError("url and conversion exclude each other: a model is published as ONNX, or made from others")
        if len(set(self.outputs)) != len(self.outputs):
            raise ValueError(f"outputs {list(self.outputs)} name one output twice")
        return self


def parse_spec(data: Any, where: str, folder: str | None = None) -> ModelSpec:
    """A validated spec from the plain values of its YAML; `where` names the file in messages.

    Raises InputError naming the file and key, with the nearest valid key for an unknown one.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where}: holds {type(data).__name__}, needs a mapping with name, file, sha256, …")
    if "folder" in data:
        raise InputError(f"{where}: folder is no key of a spec: file is relative to the spec file itself")
    try:
        spec = ModelSpec.model_validate({**data, "folder": folder})
    except ValidationError as error:
        raise InputError(f"{where}: {first_mistake(error, ModelSpec, hidden=('folder',))}") from error
    try:
        decoder = known_decoder(spec.decoder)
        decoder.check_parameters(spec.parameters, any_size=spec.input.width is None)
        decoder.check_order(spec.outputs)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return spec
