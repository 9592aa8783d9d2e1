"""How tasks reach filled lists: through the scratch folder, or sent to them."""

from __future__ import annotations

from typing import Any, NamedTuple

from landmark_ops.neighbors.shared import forget, fresh_name, opened
from landmark_ops.numerics.neighbor_lists import IvfIndex
from landmark_ops.stores.scratch import Scratch


class SharedLists(NamedTuple):
    """How tasks reach the index: itself, or its centroids and the scratch folder that holds the lists."""

    held: IvfIndex
    scratch: Scratch | None
    name: str


def share_lists(index: IvfIndex, scratch_uri: str | None) -> SharedLists:
    """Put the lists where all tasks see them; `index` need not be kept."""
    name = fresh_name("neighbors")
    if scratch_uri is None:
        return SharedLists(index, None, name)
    scratch = Scratch(scratch_uri)
    if path := scratch.local_path(name):
        index.save(path)
    else:
        scratch.put_array(name, index.to_bytes())
    return SharedLists(index.emptied(), scratch, name)


def remove_lists(shared: SharedLists) -> None:
    """Delete what `share_lists` stored, and let go of it in this process."""
    forget()
    if shared.scratch is not None:
        shared.scratch.remove(shared.name if shared.scratch.local_path(shared.name) else f"{shared.name}.npy")


def open_lists(scratch: Scratch, name: str) -> Any:
    """The lists as `share_lists` stored them, mapped where they lie on this machine."""
    path = scratch.local_path(name)
    return IvfIndex.map_lists(path) if path else IvfIndex.load_lists(scratch.get_array(name))


def attach(shared: SharedLists) -> IvfIndex:
    """The index in this process."""
    if shared.scratch is None:
        return shared.held
    return shared.held.over(opened(shared.scratch, shared.name, open_lists))
