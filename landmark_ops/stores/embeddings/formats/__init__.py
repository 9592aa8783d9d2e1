"""One file per format that embeddings are written in."""
