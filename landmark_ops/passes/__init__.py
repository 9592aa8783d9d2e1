"""Passes over all rows, block by block: placing, summing, sampling, checking."""
