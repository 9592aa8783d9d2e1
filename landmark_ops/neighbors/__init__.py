"""Graphs of nearest neighbours and geodesics along them, over chunks."""
