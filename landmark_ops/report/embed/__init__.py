"""The report of an embedding."""
