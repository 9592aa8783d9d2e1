"""Measurements of the budgets on this machine: `python -m benchmarks.run`."""
