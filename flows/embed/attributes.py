"""The attributes of an output on its making and its rows."""

from __future__ import annotations

from typing import Any

from flows.embed.given_landmarks import hash_given
from flows.embed.inputs import OpenedRun
from flows.embed.run import MethodOutput
from flows.embed.scores import MethodResult
from landmark_ops import __version__


def attributes(output: MethodOutput, opened: OpenedRun) -> dict[str, Any]:
    """The attributes of an output on its making, before there is a result."""
    rows, config, stored = opened.rows, output.config, opened.stored
    return {
        "version": __version__,
        "method": config.method.name,
        "parameters": config.method.model_dump(mode="json", exclude={"name"}),
        "source": {
            "uri": config.source.uri,
            "fingerprint": opened.fingerprint,
            "shape": [rows.n, *rows.row_shape],
            "dtype": rows.dtype.name,
            **({} if rows.version is None else {"version": rows.version}),
        },
        "seed": config.landmarks.seed,
        "config": config.model_dump(mode="json", exclude={"cluster", "methods", "compare"}),
        "result_hash": config.result_hash(None if stored is None else stored.sha256),
        "given_sha256": hash_given(opened.given, opened.earlier),
        **({} if stored is None else {"map": {"uri": stored.uri, "sha256": stored.sha256}}),
        **({"target": opened.targets.rows.uri} if opened.targets and config.method.supervised else {}),
    }


def undefined_attributes(result: MethodResult) -> dict[str, Any]:
    """Why rows have no coordinates, as the output's attributes hold it."""
    return {cause.name.lower(): found._asdict() for cause, found in result.undefined.items()}
