"""The same small function over every block of rows: on threads of this process, or on a Dask cluster."""
