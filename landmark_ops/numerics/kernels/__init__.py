"""One file per kernel, with everything about it."""
