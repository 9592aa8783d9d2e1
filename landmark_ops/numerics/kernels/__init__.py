"""One file per kernel, with everything that is to be known of it."""
