"""One file per format that rows are stored in."""
