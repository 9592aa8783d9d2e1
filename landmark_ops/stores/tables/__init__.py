"""Tables of a detection run: staged by workers, committed once, read back."""
