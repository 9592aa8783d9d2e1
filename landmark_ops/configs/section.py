"""A section of a config, and its JSON schema, from which Prefect checks parameters and draws its form.

The two agree: the schema accepts whatever a section takes from a file, and the section accepts a form's answers.
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
        """The usual schema; a value with one possibility, as the name of a method, is given for forms to fill in."""
        schema = handler(core_schema)
        for entry in handler.resolve_ref_schema(schema).get("properties", {}).values():
            if "const" in entry:
                entry.setdefault("default", entry["const"])
        return schema


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


#: Annotation of a tuple: YAML and JSON give a list.
Listed = BeforeValidator(_as_tuple)
