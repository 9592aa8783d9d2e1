"""Run parameters: YAML in, validated frozen models out. Unknown keys are refused, with the nearest valid one named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from landmark_ops.configs.choice import Choice
from landmark_ops.configs.compare import CompareSection
from landmark_ops.configs.landmarks import LandmarksConfig
from landmark_ops.configs.method import DEFAULT_METHOD, MethodConfig, read_method
from landmark_ops.configs.mistake import first_mistake
from landmark_ops.configs.plain_yaml import parse_yaml, read_yaml
from landmark_ops.configs.section import Listed, Section
from landmark_ops.errors import InputError
from landmark_ops.solver.section import METHODS, MethodSection
from landmark_ops.stores.embeddings.format import DEFAULT, OUTPUTS
from landmark_ops.units import parse_size

Bytes = Annotated[int, Field(gt=0), BeforeValidator(parse_size, json_schema_input_type=PositiveInt | str)]


class SourceConfig(Section):
    """Where rows come from: Zarr v2/v3, .npy, Parquet or Delta; local or s3://.

    `version`: of a Delta table, the latest if not said.
    """

    uri: str
    array: str | None = None
    column: str | None = None
    columns: Annotated[tuple[str, ...], Listed] | None = None
    bad_rows: Literal["error", "mark"] = "error"
    missing_chunks: Literal["error", "fill"] = "error"
    version: Annotated[int, Field(ge=0)] | None = None


class OutputConfig(Section):
    """Address and format of the embedding: a Zarr v3 group by default."""

    uri: str
    format: Annotated[str, Choice(lambda: OUTPUTS.names)] = DEFAULT
    store: Literal["zarr"] = "zarr"
    overwrite: bool = False


class ClusterConfig(Section):
    """Where blocks are computed: processes of this machine, or a running Dask cluster by address.

    `workers` and `memory` (of each worker) are taken from the machine where left out.
    """

    kind: Literal["local"] = "local"
    workers: PositiveInt | None = None
    memory: Bytes | None = None
    address: str | None = None
    allow_plaintext: bool = False


class TargetConfig(Section):
    """What supervised methods learn: one number per row, an array or column of the source or of a source of its own.

    `held_out`: the share of rows kept aside, on which the error in the report is measured.
    """

    uri: str | None = None
    array: str | None = None
    column: str | None = None
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.1

    @model_validator(mode="after")
    def _names_something(self) -> TargetConfig:
        if self.uri is None and self.array is None and self.column is None:
            raise ValueError("names nothing: give array, column or uri")
        return self


class ReportConfig(Section):
    """`sample`: rows that quality is measured on; `thumbnail`: row shape, where rows are small pictures.

    `kernel_error`: the trace error of kernel methods, `exact` in one more pass over all rows, or on a `sample`.
    """

    sample: Annotated[int, Field(ge=100)] = 20_000
    kernel_error: Literal["exact", "sample"] = "exact"
    thumbnail: Annotated[tuple[PositiveInt, ...], Listed] | None = None

    @model_validator(mode="after")
    def _pictures_have_two_axes(self) -> ReportConfig:
        shape = self.thumbnail
        if shape is not None and not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))):
            raise ValueError(f"thumbnail: {list(shape)} is no picture: give [height, width] or [height, width, 3]")
        return self


#: What says how a map is fitted, where none is taken that is stored.
FITTED = ("method", "methods", "landmarks", "target")


class EmbedConfig(Section):
    """All of one `landmarks embed` run. `compare` is there for `landmarks compare`, so that one file serves both.

    `map` names a complete embedding whose map places the rows, in place of landmarks and a method of their own.
    """

    source: SourceConfig
    output: OutputConfig
    map: str | None = None
    landmarks: LandmarksConfig = LandmarksConfig()
    method: MethodConfig = Field(default_factory=lambda: read_method({"name": DEFAULT_METHOD}))
    methods: Annotated[tuple[MethodConfig, ...], Listed] = ()
    target: TargetConfig | None = None
    cluster: ClusterConfig = ClusterConfig()
    report: ReportConfig = ReportConfig()
    compare: CompareSection = CompareSection()

    @model_validator(mode="before")
    @classmethod
    def _method_has_a_name(cls, data: Any) -> Any:
        """`method: {n_components: 3}` alone means Landmark MDS; an unknown name is answered with the nearest."""
        if not isinstance(data, dict):
            return data
        if data.get("map") is not None:
            for key in FITTED:
                if data.get(key) is not None:
                    raise ValueError(
                        f"map and {key}: rows are placed by a stored map or by a new fit: give one of both"
                    )
        if "methods" in data and "method" in data:
            raise ValueError("method and methods: give one method, or a list of methods, not both")
        if isinstance(data.get("method"), dict):
            return {**data, "method": named(data["method"])}
        if isinstance(data.get("methods"), list | tuple):
            if not data["methods"]:
                raise ValueError("methods: the list is empty: give at least one method, or leave it out")
            return {**data, "methods": [named(one) if isinstance(one, dict) else one for one in data["methods"]]}
        return data

    @model_serializer(mode="wrap")
    def _what_was_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Keep the given one of method, methods and map, so that a config that was written down can be read again."""
        data: dict[str, Any] = dump(self)
        if self.map is not None:
            return {key: value for key, value in data.items() if key not in FITTED}
        data.pop("method" if self.methods else "methods", None)
        return data

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The usual schema without the defaults of what `map` excludes: a form would fill in all of them."""
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        for key in FITTED:
            handler.resolve_ref_schema(schema)["properties"][key].pop("default", None)
        return schema

    @model_validator(mode="after")
    def _supervised_methods_have_a_target(self) -> EmbedConfig:
        learning = [one.name for one in self.all_methods if one.supervised]
        if learning and self.target is None:
            raise ValueError(
                f"method {learning[0]} learns from a target: give target: {{array: ...}} or {{column: ...}}"
            )
        if self.target is not None and not learning:
            learners = [name for name in METHODS.names if METHODS[name].supervised]
            raise ValueError(f"target: only {' and '.join(learners)} learn from one: leave it out")
        return self

    @property
    def all_methods(self) -> tuple[MethodSection, ...]:
        """The methods of this run, one or several."""
        return self.methods or (self.method,)

    def single(self) -> dict[str, EmbedConfig]:
        """One config per method, by the name of its output: `<output.uri>/<name>.zarr` where there are several."""
        if not self.methods:
            return {self.method.name: self}
        parts: dict[str, EmbedConfig] = {}
        suffix = OUTPUTS[self.output.format].suffix
        for method in self.methods:
            same = sum(other == method.name or other.startswith(f"{method.name}-") for other in parts)
            name = f"{method.name}-{same + 1}" if same else method.name
            output = self.output.model_copy(update={"uri": f"{self.output.uri.rstrip('/')}/{name}{suffix}"})
            parts[name] = self.model_copy(update={"method": method, "methods": (), "output": output})
        return parts

    def result_hash(self, map_sha256: str | None = None) -> str:
        """Hex digest of everything that decides the numbers in the output (not where or how fast they are made).

        `map_sha256`: content of the stored map, where rows are placed by one.
        """
        source = self.source.model_dump(exclude={"uri", "version"})  # the fingerprint stands for them
        if self.map is not None:
            return hash_of({"source": source, "map": map_sha256})
        parts = {"source": source, "landmarks": self.landmarks.model_dump(), "method": self.method.model_dump()}
        for key in ("tolerance", "add_to"):  # outputs made before these keys existed stay complete
            if parts["landmarks"][key] is None:
                del parts["landmarks"][key]
        if self.target is not None and self.method.supervised:
            parts["target"] = self.target.model_dump()
        return hash_of(parts)


def hash_of(parts: dict[str, Any]) -> str:
    """Hex digest of what a config says."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class CompareConfig(EmbedConfig):
    """All of one `landmarks compare` run; of the output section, only the address is used, for the page."""

    @model_validator(mode="after")
    def _one_method(self) -> CompareConfig:
        if self.map is not None:
            raise ValueError("map: landmarks are compared for a method: give method instead")
        if self.methods:
            raise ValueError("methods: landmarks are compared for one method at a time: give method instead")
        return self


def named(method: dict[str, Any]) -> dict[str, Any]:
    """A method's section with its name filled in; ValueError for one that is unknown."""
    name = method.get("name", DEFAULT_METHOD)
    if str(name) not in METHODS:
        near = get_close_matches(str(name), METHODS.names, 1, 0.3) or METHODS.names
        raise ValueError(f"method.name: {name!r} is unknown: did you mean {' or '.join(near)}?")
    return {**method, "name": name}


C = TypeVar("C", bound=Section)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> EmbedConfig:
    """Read the YAML config of an embed run; see `load_config_as`."""
    return load_config_as(EmbedConfig, path, overrides)


def load_placing(path: str | Path, overrides: Sequence[str] = ()) -> EmbedConfig:
    """`load_config` of a run that places rows by a stored map; InputError for one that fits its own."""
    config = load_config(path, overrides)
    if config.map is None:
        raise InputError(f"{path}: map is missing: name the complete embedding whose map places the rows")
    return config


def load_config_as(model: type[C], path: str | Path, overrides: Sequence[str] = ()) -> C:
    """Read a YAML config of the given kind; `overrides` are `key.path=value` with YAML values.

    Raises InputError naming the file and the key, for unreadable files, YAML that is not a mapping, unknown keys
    (with the nearest valid one) and impossible values. Only plain YAML is read: tags construct nothing.
    """
    return _validated(model, read_yaml(path, "config"), overrides, str(path))


def parse_config(text: str, overrides: Sequence[str] = (), name: str = "config") -> EmbedConfig:
    """`load_config` on the text itself."""
    return parse_config_as(EmbedConfig, text, overrides, name)


def parse_config_as(model: type[C], text: str, overrides: Sequence[str] = (), name: str = "config") -> C:
    """`load_config_as` on the text itself."""
    return _validated(model, parse_yaml(text, name), overrides, name)


def _validated(model: type[C], data: Any, overrides: Sequence[str], name: str) -> C:
    if not isinstance(data, dict):
        kind = "nothing" if data is None else type(data).__name__
        raise InputError(f"{name}: holds {kind}, needs a mapping with source: and output:")
    for override in overrides:
        _apply(data, override)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        kinds = METHODS if issubclass(model, EmbedConfig) else None
        raise InputError(f"{name}: {first_mistake(error, model, kinds=kinds)}") from error


def _apply(data: dict[str, Any], override: str) -> None:
    path, equals, value = override.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise InputError(f"--set {override}: write it as key.path=value, e.g. --set landmarks.count=500")
    for key in keys[:-1]:
        data = data.setdefault(key, {})
        if not isinstance(data, dict):
            raise InputError(f"--set {override}: {key} is a value, it has no keys of its own")
    data[keys[-1]] = parse_yaml(value, f"--set {override}")
