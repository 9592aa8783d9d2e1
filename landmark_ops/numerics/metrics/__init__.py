"""One file per metric, or per few of one kind, with everything about them."""
