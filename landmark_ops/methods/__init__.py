"""Landmark methods, one per file: each solves for a LandmarkMap."""
