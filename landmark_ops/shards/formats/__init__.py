"""One file per format that images are stored in."""
