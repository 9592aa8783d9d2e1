"""The frame, style and parts that all report pages share, and the filling of a page with values.

Every value is escaped and an undefined name is an error: a page is whole, or it is not made.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from landmark_ops.report.numbers import show, show_percent, show_seconds


def fill(template: str, pictures: dict[str, bytes], **values: Any) -> str:
    """Fill one template of this package. `pictures` are PNG bytes by file name, or whatever image the page names."""
    encoded = {name: b64encode(picture).decode("ascii") for name, picture in pictures.items()}
    return _environment().get_template(template).render(pictures=encoded, **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(show=show, show_percent=show_percent, show_seconds=show_seconds, count=show_count)
    return environment


def _read(name: str) -> str:
    return files("landmark_ops.report").joinpath(name).read_text(encoding="utf-8")


def show_count(number: int) -> str:
    """Write a whole number with thousands separators."""
    return f"{number:,}"
