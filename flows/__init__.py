"""Flows: Prefect orchestrates, one screen per flow body; the `landmarks` command starts them."""
