"""The report of one embedding run: pictures, one self-contained page, and a table for the scheduler's own UI.

Takes everything as numbers (`content.EmbedReport`) and computes nothing of size n. Import its modules late: they
pull in matplotlib.
"""
