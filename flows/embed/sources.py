"""The inputs of a run: rows and targets."""

from __future__ import annotations

from flows.embed.places import address
from landmark_ops.configs.embed import EmbedConfig, TargetConfig
from landmark_ops.errors import Edge, speaks
from landmark_ops.passes.targets import Targets
from landmark_ops.stores.sources.rows import Rows
from landmark_ops.stores.sources.source import open_rows, open_values


@speaks(Edge.CONFIG)
def open_source(config: EmbedConfig) -> Rows:
    """The rows that `source:` names."""
    source = config.source
    return open_rows(
        address(source.uri, config),
        array=source.array,
        column=source.column,
        columns=list(source.columns) if source.columns else None,
        missing_chunks=source.missing_chunks,
        version=source.version,
    )


@speaks(Edge.TARGET)
def open_targets(config: EmbedConfig, target: TargetConfig, version: int | None) -> Targets:
    """The target as rows of one value; an array or column of the source unless it has a uri of its own.

    `version`: of the source's table as its rows were opened, so that its target is of the same.
    """
    source = address(config.source.uri, config)
    uri = address(target.uri, config) if target.uri else source
    rows = open_values(
        uri,
        array=target.array,
        column=target.column,
        missing_chunks=config.source.missing_chunks,
        version=version if uri == source else None,
    )
    return Targets(rows, target.held_out, config.landmarks.seed)


def fingerprint_of(rows: Rows, targets: Targets | None) -> str:
    """Changes when the source or the target does."""
    return rows.fingerprint() if targets is None else f"{rows.fingerprint()}+{targets.rows.fingerprint()}"
