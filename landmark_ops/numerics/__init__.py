"""Pure NumPy and SciPy on one block: arrays in, arrays out, no I/O, no logging, no global state."""
