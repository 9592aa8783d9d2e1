"""Before anything is computed: open the source, look at the output, refuse what cannot work.

The command line calls `open_run` before the flow starts, so that a mistake is answered at once, and hands over what it
opened; a flow that was started by a schedule opens its inputs itself.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from flows.embed.earlier import Earlier, read_earlier
from flows.embed.plan import landmark_count
from flows.embed.run import Part
from landmark_ops.configs.embed import EmbedConfig, TargetConfig
from landmark_ops.errors import DamagedError, Edge, InputError, RunError, speaks
from landmark_ops.passes.sums import Targets, check_targets
from landmark_ops.stores.embeddings.format import OUTPUTS
from landmark_ops.stores.embeddings.landmark_rows import find_replaced
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.embeddings.unfinished import can_resume
from landmark_ops.stores.locations import is_remote, normalise
from landmark_ops.stores.sources.rows import Rows, check_shape_and_dtype
from landmark_ops.stores.sources.source import open_rows, open_values

State = Literal["new", "resume", "complete"]


class Opened(NamedTuple):
    """A checked run: its rows, where its methods write, and what is there already."""

    rows: Rows
    fingerprint: str
    targets: Targets | None
    parts: list[Part]
    given: NDArray[Any] | None  # row numbers (m,) or points (m, d) of landmarks.strategy: given
    earlier: Earlier | None  # the embedding whose landmarks are kept

    @property
    def state(self) -> State:
        """Of the run as a whole: complete where all parts are, new where all are, else to be resumed."""
        states = {part.state for part in self.parts}
        return cast(State, states.pop()) if len(states) == 1 else "resume"


class Making(NamedTuple):
    """What an output is made of beside its config: another of any of these makes another output."""

    rows: Rows
    fingerprint: str
    given: NDArray[Any] | None
    earlier: Earlier | None


def open_run(config: EmbedConfig) -> Opened:
    """Open the source and decide what to do about the output. Writes nothing.

    Raises InputError for a source that cannot be read, landmarks that cannot be had, an output that may not be
    replaced or cannot be written.
    """
    rows = open_source(config)
    singles = config.single()
    for single in singles.values():
        single.method.make()
    given = read_given(config)
    earlier = read_earlier(config, rows)
    for single in singles.values():
        check_counts(single, rows, None if given is None else len(given))
    targets = None
    if config.target is not None:
        targets = open_targets(config, config.target)
        check_targets(targets, rows, config.all_methods[0].name)
    check_apart(rows.uri, config.output.uri)
    made_of = Making(rows, fingerprint_of(rows, targets), given, earlier)
    parts = []
    for name, single in singles.items():
        store, state = output_state(single, address(single.output.uri, single), made_of)
        parts.append(Part(name, single, store, state))
    if any(part.state == "resume" for part in parts):
        for part in parts:  # swapped in by the interrupted run of several methods, which is gone on with
            part.state = "complete" if done_already(part, made_of) else part.state
    check_writable(parts[0].store.uri)
    return Opened(rows, made_of.fingerprint, targets, parts, given, earlier)


def fingerprint_of(rows: Rows, targets: Targets | None) -> str:
    """Changes when the source or the target does."""
    return rows.fingerprint() if targets is None else f"{rows.fingerprint()}+{targets.rows.fingerprint()}"


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
    )


@speaks(Edge.TARGET)
def open_targets(config: EmbedConfig, target: TargetConfig) -> Targets:
    """The target as rows of one value; an array or column of the source unless it has a uri of its own."""
    uri = address(target.uri or config.source.uri, config)
    rows = open_values(uri, array=target.array, column=target.column, missing_chunks=config.source.missing_chunks)
    return Targets(rows, target.held_out, config.landmarks.seed)


def address(uri: str, config: EmbedConfig) -> str:
    """`uri` as workers see it: those of a running cluster may stand in another folder, so paths become absolute."""
    if config.cluster.address is None or is_remote(uri):
        return uri
    return str(Path(normalise(uri)).absolute())


def read_given(config: EmbedConfig) -> NDArray[Any] | None:
    """The user's own landmarks: row numbers (m,) or points (m, d)."""
    landmarks = config.landmarks
    if landmarks.indices is not None:
        return np.asarray(landmarks.indices, np.int64)
    if landmarks.points is None:
        return None
    try:
        with open(Path(landmarks.points).expanduser(), "rb") as file:  # which np.load leaves open where it fails
            array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:  # the last two: of an empty file, of half an archive
        raise InputError(f"landmarks.points {landmarks.points}: cannot be read as .npy: {error}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"landmarks.points {landmarks.points}: is an archive of arrays (.npz): save one as .npy")
    if array.ndim not in (1, 2) or (array.ndim == 1 and array.dtype.kind not in "iu"):
        raise InputError(
            f"landmarks.points {landmarks.points}: shape {array.shape} of {array.dtype}, needs points (m, d) or "
            "integer row numbers (m,)"
        )
    if array.ndim == 2:
        check_shape_and_dtype(array.shape, array.dtype, f"landmarks.points {landmarks.points}")
    return np.asarray(array)


def check_counts(config: EmbedConfig, rows: Rows, given: int | None) -> None:
    """Refuse more landmarks than rows, more components than landmarks, and thumbnails of another shape than a row."""
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
    shape = config.report.thumbnail
    if shape is not None and int(np.prod(shape)) != rows.d:
        raise InputError(
            f"report.thumbnail {list(shape)} holds {int(np.prod(shape))} values, a row has {rows.d}: "
            f"give the picture's own shape (rows are stored as {list(rows.row_shape)})"
        )


def check_apart(source: str, output: str) -> None:
    """Refuse an output that is the source, or lies inside it or around it: writing one would destroy the other."""
    ours, theirs = (uri if is_remote(uri) else os.path.realpath(uri) for uri in (normalise(output), source))
    if f"{ours}/".startswith(f"{theirs}/") or f"{theirs}/".startswith(f"{ours}/"):
        raise InputError(f"output.uri {output}: overlaps the source {source}: choose another place")


def lock_place(config: EmbedConfig, opened: Opened) -> str:
    """What is locked, as workers see it, too: the output, or the folder of all outputs of several methods."""
    return address(config.output.uri, config) if config.methods else opened.parts[0].store.uri


def check_unchanged(opened: Opened) -> None:
    """With the lock held: whether all is as it was when it was looked at.

    Raises RunError where the source or the target has changed, InputError where another run has worked on the output.
    """
    if fingerprint_of(opened.rows, opened.targets) != opened.fingerprint:
        raise RunError(f"{opened.rows.uri}: changed while the run was starting: run again once the source is at rest")
    made_of = Making(opened.rows, opened.fingerprint, opened.given, opened.earlier)
    for part in opened.parts:
        store, state = output_state(part.config, part.store.uri, made_of)
        if store != part.store or (state != part.state and part.state != "complete"):
            raise InputError(
                f"output {part.store.uri}: another run has just worked on it: run again to go on from there"
            )


def output_state(config: EmbedConfig, uri: str, made_of: Making) -> tuple[EmbeddingStore, State]:
    """Where this run writes, and whether that is new, to be resumed, or already complete.

    What is there is replaced by a successor built beside it; an unfinished one of the same making is gone on with.
    InputError where the output may not be touched.
    """
    here = OUTPUTS[config.output.format].store(uri)
    try:
        status = here.read_status()
    except DamagedError:
        if not config.output.overwrite:
            raise
        status = {"status": "complete"}  # whatever it was: it is replaced once its successor is complete
    if status is None or (status.get("status") != "complete" and not status.get("map_sha256")):
        return here, "new"  # nothing has been committed there
    overwrite = config.output.overwrite
    differs = difference(here, status, config, made_of)
    complete = status.get("status") == "complete"
    if not differs:
        if complete and not overwrite:
            return here, "complete"
        if not complete and (not overwrite or can_resume(here)):
            return here, "resume"
    elif not overwrite and not status.get("refused"):
        kind = "a complete embedding" if complete else "an unfinished embedding"
        raise InputError(
            f"output {here.uri}: holds {kind} made with {differs}: "
            "set output.overwrite: true to replace it, or choose another output.uri"
        )
    successor = here.successor
    begun = successor.read_status()
    if begun is None or begun.get("build") == status.get("build"):  # none, or one that has been swapped in
        return successor, "new"
    same = not difference(successor, begun, config, made_of)
    return successor, "resume" if same and can_resume(successor) else "new"


def done_already(part: Part, made_of: Making) -> bool:
    """Whether readers find the very embedding that this part would make, complete."""
    current = part.store.current
    try:
        status = current.read_status()
    except DamagedError:
        return False
    if status is None or status.get("status") != "complete":
        return False
    return not difference(current, status, part.config, made_of)


def hash_given(given: NDArray[Any] | None, earlier: Earlier | None) -> str | None:
    """Hex digest of the user's own landmarks, or of the map they are added to: files change while names stay."""
    if given is None:
        return None if earlier is None else earlier.sha256
    return hashlib.sha256(
        f"{given.dtype.str}{given.shape}".encode() + np.ascontiguousarray(given).tobytes()
    ).hexdigest()


def difference(store: EmbeddingStore, status: dict[str, Any], config: EmbedConfig, made_of: Making) -> str:
    """What differs between this run and the one recorded in an output; empty where nothing does."""
    rows, fingerprint, given, earlier = made_of
    if status.get("source", {}).get("fingerprint") != fingerprint:
        return "another source, or the source has changed since"
    if status.get("result_hash") == config.result_hash():
        if status.get("given_sha256") == hash_given(given, earlier):
            return another_content(store, rows)
        return f"another embedding at {earlier.uri}" if earlier else f"other points in {config.landmarks.points}"
    recorded = status.get("config", {})
    ours = config.model_dump(mode="json")
    changed = [
        f"{section}.{key} {then.get(key)!r} instead of {now.get(key)!r}"
        for section in ("landmarks", "method", "source", "target")
        for then, now in [(recorded.get(section) or {}, ours[section] or {})]
        for key in sorted({*then, *now})
        if then.get(key) != now.get(key) and (section, key) != ("source", "uri")
    ]
    return ", ".join(changed) or "another configuration"


def another_content(store: EmbeddingStore, rows: Rows) -> str:
    """What shows that a source of the same name, size and time is another; empty where nothing does."""
    try:
        row = find_replaced(store, rows)
    except DamagedError:
        return ""  # told by whoever needs the landmarks, or looks whether the output is whole
    if row is None:
        return ""
    return f"other content of {rows.uri} (row {row} is not the landmark it was, though size and time are the same)"


def check_writable(uri: str) -> None:
    """InputError where the nearest existing parent of a local output may not be written: before hours of work."""
    if is_remote(uri):
        return
    place = Path(uri).absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise InputError(f"output {uri}: {place} is a file, not a folder: choose another output.uri")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise InputError(
            f"output {uri}: cannot write in {place}: {error.strerror or error}: choose another output.uri, "
            "or permit writing there"
        ) from error
