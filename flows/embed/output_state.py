"""What is there already where a run writes: nothing, an unfinished embedding to resume, or a complete one."""

from __future__ import annotations

from typing import Literal

from flows.embed.differences import Making, difference
from flows.embed.run import MethodOutput
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.errors import DamagedError, InputError
from landmark_ops.stores.embeddings.format import OUTPUTS
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.embeddings.unfinished import can_resume

State = Literal["new", "resume", "complete"]


def output_state(config: EmbedConfig, uri: str, made_of: Making) -> tuple[EmbeddingStore, State]:
    """Where this run writes, and whether that is new, to be resumed, or already complete.

    What is there is replaced by a successor built beside it; an unfinished one of the same making is resumed.
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


def done_already(output: MethodOutput, made_of: Making) -> bool:
    """Whether readers find the very embedding that would be made here, complete."""
    current = output.store.current
    try:
        status = current.read_status()
    except DamagedError:
        return False
    if status is None or status.get("status") != "complete":
        return False
    return not difference(current, status, output.config, made_of)
