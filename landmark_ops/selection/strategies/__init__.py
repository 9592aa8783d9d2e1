"""One file per strategy: a function from a `Request` to `Landmarks`, and its entry in `STRATEGIES`."""
