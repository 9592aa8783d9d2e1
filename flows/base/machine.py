"""Resources of this machine for a run: the number of local workers, their memory, and whether they are threads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from landmark_ops.configs.embed import ClusterConfig

IN_PROCESS_BYTES = 64 << 20  # sources below it are computed on threads: worker processes take longer to start


def worker_count(cluster: ClusterConfig) -> int:
    """Workers of a local cluster: as configured, or one per core this process may use."""
    return cluster.workers or len(os.sched_getaffinity(0))


def worker_memory(cluster: ClusterConfig) -> int:
    """Bytes each worker of a local cluster may use: as configured, or its share of 90 % of this machine's memory."""
    if cluster.memory is not None:
        return cluster.memory
    return int(0.9 * machine_memory() / worker_count(cluster))


def machine_memory() -> int:
    """Bytes of memory that this machine, or the container or group of processes we are in, may use."""
    from distributed.system import MEMORY_LIMIT

    return int(MEMORY_LIMIT)


def on_threads(cluster: ClusterConfig, source_bytes: int) -> bool:
    """Whether the workers are threads of the flow's process: small sources are done before processes are up."""
    return cluster.address is None and source_bytes <= IN_PROCESS_BYTES
