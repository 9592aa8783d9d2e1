"""One method of a run once it is solved, and the landmarks it was solved on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from flows.embed.run import MethodOutput
from landmark_ops.maps.causes import Cause
from landmark_ops.maps.tally import Found
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.passes.extension import Destination
from landmark_ops.row_range import RowRange
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.solver.method import Solution
from landmark_ops.stores.embeddings.records import ChunkRecords


class ChosenLandmarks(NamedTuple):
    """The landmarks of a run, and the kernel they were chosen by where the strategy uses one."""

    landmarks: Landmarks
    kernel: Kernel | None


@dataclass
class SolvedMethod:
    """One method of a run once it is solved: what places rows, and which chunks are committed."""

    output: MethodOutput
    landmarks: Landmarks
    solution: Solution
    sha256: str
    records: ChunkRecords
    undefined: dict[RowRange, dict[Cause, Found]] = field(default_factory=dict)  # why rows have no coordinates

    @property
    def destination(self) -> Destination:
        """Where rows are written, for `extend_block`."""
        return Destination(self.output.store, self.sha256, self.solution.blocks)
