"""One file per metric, or per few of one kind, with everything that is to be known of them."""
