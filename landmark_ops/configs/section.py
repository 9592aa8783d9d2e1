"""A section of a config, and its JSON schema: what Prefect checks parameters by, and draws its form from.

The two say the same: what a section takes from a file, its schema lets pass, and a form's answers are taken.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


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


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


#: Annotation of a tuple: YAML and JSON give a list.
Listed = BeforeValidator(_as_tuple)
