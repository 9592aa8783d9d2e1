"""One file per format that the tables of a detection run are kept in."""
