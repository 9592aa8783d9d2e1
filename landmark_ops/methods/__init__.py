"""Landmark methods, one per file: each is a scikit-learn estimator and solves for a LandmarkMap."""
