"""Shared by all commands: the Prefect API, Dask workers, stages, progress."""
