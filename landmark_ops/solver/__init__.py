"""Solving, for all methods: the sums, samples and graphs that a solve asks for, and alignment."""
