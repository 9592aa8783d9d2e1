"""What every command stands on: the Prefect API, Dask workers, stages, progress."""
