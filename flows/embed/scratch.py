"""Scratch arrays beside an output while it is made, and when they are deleted."""

from __future__ import annotations

from flows.embed.run import MethodOutput
from landmark_ops.stores.embeddings import unfinished
from landmark_ops.stores.embeddings.format import without_suffix
from landmark_ops.stores.locations import join, remove


def scratch_folder(uri: str) -> str:
    """Where large intermediate arrays of an output lie while it is made: out/x.zarr -> out/x.scratch."""
    return f"{without_suffix(uri)}.scratch"


def scratch_address(output: MethodOutput) -> str:
    """The folder in it that runs of this config use: an unfinished run of another config still needs its own."""
    return join(scratch_folder(output.store.uri), output.config.result_hash()[:12])


def clear_scratch(outputs: list[MethodOutput]) -> None:
    """Delete the scratch arrays of these outputs, once nothing needs them any more."""
    for output in outputs:
        store = output.store
        remove(scratch_address(output) if store.successor.is_there() else scratch_folder(store.uri))


def give_up(outputs: list[MethodOutput]) -> None:
    """After a refusal: keep what is committed, to be resumed, and delete what would block a corrected run."""
    for output in outputs:
        if output.state != "complete" and not unfinished.give_up(output.store, keep=output.state == "resume"):
            remove(scratch_address(output))
