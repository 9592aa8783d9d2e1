"""The formats that embeddings are written in, one file each in `formats/`; which of them lies at an address."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from landmark_ops.registry import Registry
from landmark_ops.stores.locations import normalise

if TYPE_CHECKING:  # configs know the names of formats, and import nothing that reads or writes one
    from landmark_ops.stores.embeddings.store import EmbeddingStore

DEFAULT = "zarr"


class OutputFormat(ABC):
    """One format.

    Attributes
    ----------
    name
        How a config's `output.format` says it.
    suffix
        The end of the names of several methods' outputs; the names of report and scratch leave it out.
    """

    name: str
    suffix: str

    @abstractmethod
    def store(self, uri: str) -> EmbeddingStore:
        """The embedding at an address, whether or not there is one."""

    @abstractmethod
    def lies_at(self, uri: str) -> bool:
        """Whether there is one, whole or not, by its marks: nothing of it is read."""


OUTPUTS: Registry[OutputFormat] = Registry("output format", "landmark_ops.stores.embeddings.formats")


def open_output(uri: str | os.PathLike[str]) -> EmbeddingStore:
    """The embedding at an address in whatever format is there; in the default one where none is.

    Only other formats are looked for: the default's store reports by itself what is wrong.
    """
    address = normalise(uri)
    there = (one for one in OUTPUTS if one.name != DEFAULT and one.lies_at(address))
    return next(there, OUTPUTS[DEFAULT]).store(address)


def without_suffix(uri: str) -> str:
    """The address of an output without its format's suffix: out/patches.zarr -> out/patches."""
    return next((uri.removesuffix(one.suffix) for one in OUTPUTS if one.suffix and uri.endswith(one.suffix)), uri)
