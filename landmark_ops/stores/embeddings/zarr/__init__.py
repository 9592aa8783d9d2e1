"""An embedding as a Zarr v3 group."""
