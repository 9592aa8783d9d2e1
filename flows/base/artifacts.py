"""A report's files as Prefect artifacts of the run that made them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

#: Pictures of counts and measures. Those of rows or images (thumbnails, overlays) stay beside the output: not everyone
#: who may see Prefect's pages may see the data.
MEASURES = frozenset(
    f"{name}.png"
    for name in ("density", "outcome", "spectrum", "coverage", "timings", "error", "scores", "sizes", "failures")
)


def publish(text: str, files: Mapping[str, bytes], page: str, *, key: str, title: str) -> None:
    """The Markdown `text` under `key`, e.g. embedding-quality, and pictures of `MEASURES`, e.g. embedding-density."""
    from prefect.artifacts import create_image_artifact, create_markdown_artifact

    create_markdown_artifact(f"{text}\n\nFull report: `{page}`\n", key=key, description=title)
    for name, content in files.items():
        if name in MEASURES:
            create_image_artifact(
                f"data:image/png;base64,{b64encode(content).decode()}",
                key=f"{key.partition('-')[0]}-{name.removesuffix('.png')}",
                description=title,
            )
