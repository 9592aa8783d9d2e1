"""dask-ml's SpectralClustering, run by the Python of .venv-peers-reduction: one JSON line with seconds goes to stdout.

    python peer_dask_ml.py '{"rows": PATH, "array": NAME | null, "labels": PATH, "n_clusters": 8, "landmarks": 500,
                             "gamma": 0.1, "seed": 0, "chunk_rows": 16384, "persist": true, "threads": 2}'

Imports nothing of this project. `rows` is an .npy file where `array` is null, else a Zarr group. dask-ml calls the
landmarks n_components. `persist` keeps the embedding in memory while k-means goes over it again and again.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def main(job: dict[str, Any]) -> None:
    """Time one fit, labels computed; they go to an .npy file."""
    import dask
    import dask.array as da
    import numpy as np
    from dask_ml.cluster import SpectralClustering

    if job["array"] is None:
        rows = da.from_array(np.load(job["rows"]), chunks=(job["chunk_rows"], -1))
    else:
        rows = da.from_zarr(job["rows"], component=job["array"]).rechunk((job["chunk_rows"], -1))
    model = SpectralClustering(
        job["n_clusters"],
        n_components=job["landmarks"],
        gamma=job["gamma"],
        random_state=job["seed"],
        persist_embedding=job["persist"],
    )
    with dask.config.set(scheduler="threads", num_workers=job["threads"]):
        began = time.perf_counter()
        labels = np.asarray(model.fit(rows).labels_)
        seconds = time.perf_counter() - began
    np.save(job["labels"], labels)
    print(json.dumps({"seconds": seconds, "chunks": rows.numblocks[0]}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
