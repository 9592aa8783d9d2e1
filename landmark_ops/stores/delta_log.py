"""How a Delta table is recognised at an address, without the library that reads it."""

from __future__ import annotations

from landmark_ops.stores.locations import is_folder, join

LOG = "_delta_log"  # the folder of its commits


def is_delta(uri: str) -> bool:
    """Whether a Delta table lies at an address."""
    # Not DeltaTable.is_deltatable, which keeps all threads waiting while it asks S3.
    return is_folder(join(uri, LOG))
