"""The fitted map: its parts, its evaluation on rows, the sums it is solved from, why rows have no coordinates."""
