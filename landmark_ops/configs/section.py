"""A section of a config, and its JSON schema: what Prefect checks parameters by, and draws its form from.

The two say the same: what a section takes from a file, its schema lets pass, and a form's answers are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Section(BaseModel):
    """A part of a config: immutable; unknown keys, NaN and infinite numbers refused, and values of another type.

    A number written as text is none, and `yes` is not 1, here as in the schema.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False, strict=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The usual one; a value that can only be one, as the name of a method, is there for forms to fill in."""
        schema = handler(core_schema)
        for entry in handler.resolve_ref_schema(schema).get("properties", {}).values():
            if "const" in entry:
                entry.setdefault("default", entry["const"])
        return schema


class OneOf:
    """Annotation of a text that is one of some names, which are asked for as a value is checked or a schema written.

    For names that a registry knows: they are not looked up, and their files not imported, before that.
    """

    def __init__(self, names: Callable[[], Sequence[str]]) -> None:
        self.names = names

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A check in place of that of `str`."""
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """As of a `Literal`."""
        return {"enum": list(self.names()), "type": "string"}

    def check(self, value: Any) -> str:
        """The value, or the error that a `Literal` of the names would give."""
        names = list(self.names())
        if isinstance(value, str) and value in names:
            return value
        *others, last = [repr(name) for name in names]
        expected = f"{', '.join(others)} or {last}" if others else last
        raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


#: Annotation of a tuple: YAML and JSON give a list.
Listed = BeforeValidator(_as_tuple)
