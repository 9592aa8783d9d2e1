"""`map: URI`: rows placed by the map of an earlier embedding, in place of landmarks and a method of their own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from flows.embed.places import check_apart
from flows.embed.resume import load_solution
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.configs.method import read_method
from landmark_ops.errors import InputError
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.solver.method import Solution
from landmark_ops.solver.section import METHODS, MethodSection
from landmark_ops.stores.embeddings.format import open_output
from landmark_ops.stores.sources.rows import Rows


class StoredMap(NamedTuple):
    """What a complete embedding holds for rows of other sources.

    `landmarks` have no row numbers: they are rows of the source that the map was made of. `solution` says nothing of
    how its fit went, which is told where it was made.
    """

    uri: str
    sha256: str
    method: MethodSection
    landmarks: Landmarks
    solution: Solution

    def complete(self, config: EmbedConfig) -> EmbedConfig:
        """The config with the method that the map was made by.

        Errors of a kernel are measured on a sample, unless the config asks for a pass of their own: rows are read once.
        """
        report = config.report
        if "kernel_error" not in report.model_fields_set:
            report = report.model_copy(update={"kernel_error": "sample"})
        return config.model_copy(update={"method": self.method, "report": report})


def read_stored_map(config: EmbedConfig) -> StoredMap | None:
    """What `map` names; None where a config has none.

    Raises InputError unless it is a complete embedding, by a method that is known here, and lies apart from the output.
    """
    uri = config.map
    if uri is None:
        return None
    check_apart(uri, config.output.uri, "map")
    store = open_output(uri)
    try:
        status = store.read_status()
    except InputError as error:
        raise InputError(
            f"map {uri}: no complete embedding to place rows by: something else is there: name the output of one method"
        ) from error
    if status is None or status.get("status") != "complete":
        state = "nothing is there" if status is None else f"its status is {status.get('status')}"
        raise InputError(f"map {uri}: no complete embedding to place rows by: {state}")
    landmarks, solution = load_solution(store, status)
    return StoredMap(
        uri,
        str(status["map_sha256"]),
        method_of(uri, status),
        landmarks._replace(indices=np.full_like(landmarks.indices, -1)),
        solution._replace(warnings=(), facts={}),
    )


def method_of(uri: str, status: dict[str, Any]) -> MethodSection:
    """The method that an embedding was made by, with its parameters. InputError where this version has no such."""
    name = str(status["method"])
    if name not in METHODS:
        raise InputError(f"map {uri}: made by method {name}, which is not known here: import what registers it")
    try:
        return read_method({**status["parameters"], "name": name})
    except ValidationError as error:
        raise InputError(
            f"map {uri}: made by {name} with parameters that it does not have here (landmark-ops "
            f"{status.get('version')}): place rows with that version"
        ) from error


def check_features(stored: StoredMap, rows: Rows) -> None:
    """InputError where the rows have another number of features than the map takes."""
    if stored.solution.map.n_features != rows.d:
        raise InputError(
            f"map {stored.uri}: takes rows of {stored.solution.map.n_features} features, those of {rows.uri} have "
            f"{rows.d}: the same features are needed"
        )
