"""The method of a config: the section of the registered method that its name says."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, SchemaValidator
from pydantic_core.core_schema import no_info_plain_validator_function, tagged_union_schema

from landmark_ops.solver.section import METHODS, MethodSection, name_of

#: The method of a config that names none.
DEFAULT_METHOD = "landmark_mds"


class AnyMethod:
    """Annotation of a method's section: as the union of all sections, told apart by name.

    The union is made of what is registered when a config is read or its schema is asked for. Importing a config imports
    no method.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The validator of a section; each section is serialised by its own class."""
        return no_info_plain_validator_function(read_method)

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """`anyOf` in place of `oneOf`, which Prefect's form does not show, and without a discriminator.

        Prefect first checks a deployment's parameters with nothing required: a method without its name fits several.
        """
        schema = handler(union_of(sections()))
        schema.pop("discriminator", None)
        schema["anyOf"] = schema.pop("oneOf")
        return schema


def sections() -> tuple[type[MethodSection], ...]:
    """The sections of all methods, the default one first, as a form shows it."""
    default = METHODS[DEFAULT_METHOD]
    return (default, *(one for one in METHODS if one is not default))


def union_of(sections: tuple[type[MethodSection], ...]) -> CoreSchema:
    """Their union, told apart by name."""
    return tagged_union_schema({name_of(one): one.__pydantic_core_schema__ for one in sections}, "name")


@cache
def reader_of(sections: tuple[type[MethodSection], ...]) -> SchemaValidator:
    """The validator of one of these sections."""
    return SchemaValidator(union_of(sections))


def read_method(value: Any) -> MethodSection:
    """`value` as a section: itself, or made from its keys; ValidationError where it is none."""
    section: MethodSection = reader_of(sections()).validate_python(value)
    return section


MethodConfig = Annotated[MethodSection, AnyMethod()]
