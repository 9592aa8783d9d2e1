"""Decoders: a network's outputs to boxes or points in pixels of its input, one pure NumPy file per output family."""
