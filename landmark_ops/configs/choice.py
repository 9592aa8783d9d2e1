"""A config value that has to be one of the names in a registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


class Choice:
    """Annotation of such a value: like a `Literal` whose names are looked up when a config or its schema is read.

    So whatever is registered until then is valid, and importing a config loads no registry.
    """

    def __init__(self, names: Callable[[], Sequence[str]]) -> None:
        self._names = names

    def _check(self, value: Any) -> str:
        names = self._names()
        if isinstance(value, str) and value in names:
            return value
        *others, last = map(repr, names)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}" if others else last})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A check of our own, which refuses a value of another type with the names, too."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """An enumeration, as of a `Literal`."""
        return {"enum": list(self._names()), "type": "string"}
