"""Things of each kind that a registry holds, one file each, as somebody else would add them."""
