"""Keypoints: named landmark sets, the tables that hold them, and pictures of them."""
