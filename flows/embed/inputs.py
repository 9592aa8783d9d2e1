"""Before anything is computed: open the source, look at the output, refuse what cannot work.

The command line calls `open_run` before the flow starts, so that a mistake is answered at once, and hands over what it
opened; a flow that was started by a schedule opens its inputs itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from flows.embed.differences import Making
from flows.embed.earlier import Earlier, read_earlier
from flows.embed.given_landmarks import read_given
from flows.embed.output_state import State, done_already, output_state
from flows.embed.places import address, check_apart, check_writable
from flows.embed.plan import Plan, landmark_count, make_plan
from flows.embed.run import MethodOutput
from flows.embed.sources import fingerprint_of, open_source, open_targets
from flows.embed.stored_map import StoredMap, check_features, read_stored_map
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.errors import InputError, RunError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.passes.targets import Targets, check_targets
from landmark_ops.stores.sources.rows import Rows


class OpenedRun(NamedTuple):
    """A checked run: its rows, where its methods write, and what is there already.

    `config`: as it was given, with the method of the stored map where rows are placed by one.
    """

    config: EmbedConfig
    rows: Rows
    fingerprint: str
    targets: Targets | None
    outputs: list[MethodOutput]
    given: NDArray[Any] | None  # row numbers (m,) or points (m, d) of landmarks.strategy: given
    earlier: Earlier | None  # the embedding whose landmarks are kept
    stored: StoredMap | None  # what rows are placed by, where nothing is selected and solved

    @property
    def state(self) -> State:
        """The state of the run: complete where all outputs are, new where all are, else to be resumed."""
        states = {output.state for output in self.outputs}
        return cast(State, states.pop()) if len(states) == 1 else "resume"

    @property
    def fitted(self) -> LandmarkMap | None:
        """The stored map that rows are placed by, if any."""
        return None if self.stored is None else self.stored.solution.map

    def plan(self) -> Plan:
        """What this run would take."""
        return make_plan(self.config, self.rows, None if self.given is None else len(self.given), self.fitted)


def open_run(config: EmbedConfig) -> OpenedRun:
    """Open the source and decide what to do about the output. Writes nothing.

    Raises InputError for a source that cannot be read, landmarks that cannot be had, an output that may not be
    replaced or cannot be written.
    """
    rows = open_source(config)
    stored = read_stored_map(config)
    if stored is not None:
        check_features(stored, rows)
        config = stored.complete(config)
    singles = config.single()
    for single in singles.values():
        single.method.make()
    given = read_given(config)
    earlier = read_earlier(config, rows)
    for single in singles.values():
        if stored is None:
            check_counts(single, rows, None if given is None else len(given))
        check_thumbnail(single, rows)
    targets = None
    if config.target is not None:
        targets = open_targets(config, config.target, rows.version)
        check_targets(targets, rows, config.all_methods[0].name)
    check_apart(rows.uri, config.output.uri)
    made_of = Making(rows, fingerprint_of(rows, targets), given, earlier, stored)
    outputs = []
    for name, single in singles.items():
        store, state = output_state(single, address(single.output.uri, single), made_of)
        outputs.append(MethodOutput(name, single, store, state))
    if any(output.state == "resume" for output in outputs):
        for output in outputs:  # swapped in by the interrupted run of several methods that is resumed
            output.state = "complete" if done_already(output, made_of) else output.state
    check_writable(outputs[0].store.uri)
    return OpenedRun(config, rows, made_of.fingerprint, targets, outputs, given, earlier, stored)


def check_counts(config: EmbedConfig, rows: Rows, given: int | None) -> None:
    """Refuse more landmarks than rows, and more components than landmarks."""
    m = landmark_count(config, rows.n, given)
    if m > rows.n:
        raise InputError(
            f"landmarks.count={m} exceeds the {rows.n} rows of {rows.uri}: set landmarks.count to at most {rows.n}, "
            "or leave it out"
        )
    if m < 2:
        raise InputError(f"landmarks.count={m}: at least 2 landmarks are needed to span a direction")
    k = config.method.dimensions
    if k is not None and k > m:
        raise InputError(
            f"method.n_components={k} exceeds landmarks.count={m}: m landmarks span at most m components: "
            "lower n_components or add landmarks"
        )


def check_thumbnail(config: EmbedConfig, rows: Rows) -> None:
    """Refuse thumbnails of another shape than a row."""
    shape = config.report.thumbnail
    if shape is not None and int(np.prod(shape)) != rows.d:
        raise InputError(
            f"report.thumbnail {list(shape)} holds {int(np.prod(shape))} values, a row has {rows.d}: "
            f"give the picture's own shape (rows are stored as {list(rows.row_shape)})"
        )


def lock_place(config: EmbedConfig, opened: OpenedRun) -> str:
    """The address to lock, as workers see it: the output, or the folder of all outputs of several methods."""
    return address(config.output.uri, config) if config.methods else opened.outputs[0].store.uri


def check_unchanged(opened: OpenedRun) -> None:
    """With the lock held: check that nothing has changed since it was opened.

    Raises RunError where the source or the target has changed, InputError where another run has worked on the output.
    """
    if fingerprint_of(opened.rows, opened.targets) != opened.fingerprint:
        raise RunError(f"{opened.rows.uri}: changed while the run was starting: run again once the source is at rest")
    made_of = Making(opened.rows, opened.fingerprint, opened.given, opened.earlier, opened.stored)
    for output in opened.outputs:
        store, state = output_state(output.config, output.store.uri, made_of)
        if store != output.store or (state != output.state and output.state != "complete"):
            raise InputError(
                f"output {output.store.uri}: another run has just worked on it: run again to go on from there"
            )
