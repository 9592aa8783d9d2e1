"""One embedding as it is stored, in any format: the interface through which it is written and read.

    create      take the place, `partial`, beside what readers see where something is there
    put         small groups of arrays: the map, the landmarks, the table of committed chunks
    allocate    the arrays of rows
    write       by any worker, each range of rows once or again with the same content; readers see none of it yet
    complete    by the process that runs the flow, the one write by which readers see this embedding and no other
    settle      tidy up what a run that was killed right after it left to be done

So a format whose rows are appended in files has its workers write a file per range, named by it, and its one commit in
`complete`. A store travels to workers: it is small, picklable, hashable, and holds addresses alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

from numpy.typing import NDArray

from landmark_ops.errors import DamagedError
from landmark_ops.stores.damage import Damage
from landmark_ops.stores.embeddings.contents import F32, Written, hash_map
from landmark_ops.stores.fence import Fence
from landmark_ops.stores.locations import normalise

ALWAYS = ("embedding", "residual")
OPTIONAL = ("labels", "prediction", "std")


class Examined(NamedTuple):
    """The check of all but rows: how many arrays there are, the damaged ones, and those without a recorded hash."""

    arrays: int
    damaged: list[Damage]
    unchecked: list[str]


@dataclass(frozen=True)
class EmbeddingStore(ABC):
    """One embedding, being written or finished, at `uri`.

    `staged`: the successor of what is there, unfinished and seen by no reader. `fence`: of the run that writes it.
    `attributes` are those of the contract: version, method, parameters, source, seed, rank, quality, status, ...;
    and `build`, another number for each embedding that is begun.
    """

    uri: str
    staged: bool = False
    fence: Fence | None = None

    metadata: ClassVar[str]  # the object below `uri` without which nothing else can be checked

    def __post_init__(self) -> None:
        object.__setattr__(self, "uri", normalise(self.uri))

    @property
    def current(self) -> Self:
        """The embedding that readers of `uri` see."""
        return replace(self, staged=False, fence=None)

    @property
    def successor(self) -> Self:
        """The successor that may be in the making beside it."""
        return replace(self, staged=True, fence=None)

    def fenced(self, fence: Fence | None) -> Self:
        """The same store, which only the run that holds this lock can write."""
        return replace(self, fence=fence)

    def check(self, max_age: float = 0.0) -> None:
        """RunError where the run that writes this has lost its lock: asked before every write."""
        if self.fence is not None:
            self.fence.check(max_age)

    # What is there

    @abstractmethod
    def is_there(self) -> bool:
        """Whether anything is at the address, ours or not: one look, and nothing is read."""

    @abstractmethod
    def find_attributes(self) -> dict[str, Any] | None:
        """The attributes; None where none of ours can be read, whatever the reason. Failures of storage are raised."""

    @abstractmethod
    def read_status(self) -> dict[str, Any] | None:
        """The attributes, or None where nothing of ours is there.

        Raises InputError where something else is there: it is never overwritten. DamagedError where it is ours, as its
        arrays show, and its own metadata is damaged.
        """

    @abstractmethod
    def read_attributes(self) -> dict[str, Any]:
        """The attributes of the output; RunError where it has gone."""

    @abstractmethod
    def row_arrays(self) -> list[str]:
        """Names of the arrays of rows, those of ALWAYS first; none before they are allocated."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(n, k) of the embedding."""

    @property
    @abstractmethod
    def chunk_rows(self) -> int:
        """Rows that are written together, min(n, what was allocated)."""

    @abstractmethod
    def lies_apart(self) -> bool:
        """Whether this successor writes to other places than the output that readers see."""

    # Writing, by the process that runs the flow

    @abstractmethod
    def create(self, attributes: Mapping[str, Any]) -> None:
        """Begin an output without arrays, `partial`. What was begun here before is replaced.

        In place where nothing is there, or nothing there is worth keeping. Raises InputError where nothing can be
        written.
        """

    @abstractmethod
    def update(self, **attributes: Any) -> None:
        """Merge `attributes` into those that are there, in one atomic write."""

    @abstractmethod
    def put(
        self,
        group: str,
        arrays: Mapping[str, NDArray[Any]],
        names: Mapping[str, tuple[str, ...]],
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Write small arrays into a subgroup, with dimension names where given."""

    @abstractmethod
    def overwrite(self, group: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write arrays of a subgroup again, in this order, of the shape and type they were put with."""

    def put_map(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> str:
        """Store the state of a LandmarkMap; returns its content hash, by which workers cache it."""
        sha256 = hash_map(arrays, meta)
        self.put("map", arrays, {}, {"landmark_map": {**meta, "sha256": sha256}})
        return sha256

    @abstractmethod
    def allocate(
        self,
        n: int,
        k: int,
        chunk_rows: int,
        outputs: Mapping[str, str] | None = None,
        undefined: Mapping[str, float] | None = None,
    ) -> None:
        """Make room for n rows, written `chunk_rows` at a time.

        `outputs`: name and dtype of each further array of one value per row. `undefined`: what stands in each for rows
        that have no coordinates.
        """

    @abstractmethod
    def complete(self, **attributes: Any) -> None:
        """Merge `attributes` and turn the status to complete: from this write on readers see this embedding."""

    @abstractmethod
    def settle(self) -> None:
        """Finish a `complete` during which a run was killed; nothing happens where none was."""

    @abstractmethod
    def discard(self) -> None:
        """Delete what was begun; of a successor, leave the output beside it."""

    @abstractmethod
    def restore_metadata(self) -> int:
        """Put back lost metadata that follows from the rest of it; returns how many files."""

    # Writing, by any worker

    @abstractmethod
    def write(
        self, start: int, embedding: F32, residual: F32, outputs: Mapping[str, NDArray[Any]] | None = None
    ) -> Written:
        """Commit the chunk that begins at row `start`, and describe it. `outputs`: those that were allocated."""

    # Reading

    @abstractmethod
    def get(self, group: str, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """The arrays of a subgroup by name, or those of `names`; DamagedError where one is damaged or not there."""

    @abstractmethod
    def get_attributes(self, group: str) -> dict[str, Any]:
        """The attributes that a subgroup was put with; empty where there is none."""

    @abstractmethod
    def has(self, group: str, *names: str) -> bool:
        """Whether these arrays were put into a subgroup."""

    def get_map(self, sha256: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The stored state of the map; DamagedError unless its content has the given hash."""
        try:
            arrays = self.get("map")
            stored = self.get_attributes("map")["landmark_map"]
            meta = {key: value for key, value in stored.items() if key != "sha256"}
            found = hash_map(arrays, meta)
        except (DamagedError, KeyError) as error:  # a failed checksum, or parts that are not there
            found = str(error)
        if found != sha256:
            raise DamagedError(
                f"{self.uri}: the stored map has not the hash {sha256[:12]} it was committed with, it is damaged: "
                "run again with output.overwrite: true"
            )
        return arrays, meta

    @abstractmethod
    def read_array(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop of an array of rows; DamagedError where a chunk is missing, ValueError where one differs."""

    def read(self, start: int, stop: int) -> tuple[F32, F32]:
        """Embedding (b, k) and residual (b,) of rows start..stop."""
        return self.read_array("embedding", start, stop), self.read_array("residual", start, stop)

    def read_outputs(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """The further outputs of rows start..stop: labels, prediction and std; empty for most methods."""
        return {name: self.read_array(name, start, stop) for name in self.row_arrays() if name not in ALWAYS}

    # Looking for damage

    @abstractmethod
    def find_missing(self) -> list[Damage]:
        """What a complete output lacks, or has of another size than was written: by a listing, content unread."""

    @abstractmethod
    def examine(self) -> Examined:
        """Everything but the rows, read and compared with what was recorded when it was committed."""

    @abstractmethod
    def object_of(self, name: str, start: int) -> str:
        """The object, below `uri`, that holds an array's chunk of rows beginning at `start`."""
