"""One entry for each kind of registry, one file each, as a user would add them."""
