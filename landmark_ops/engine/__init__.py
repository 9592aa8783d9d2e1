"""Where functions of an item run: threads of this process, or a Dask cluster."""
