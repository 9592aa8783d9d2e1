"""Shards: images where they lie, in folders, tars, tables and arrays, read one by one and never unpacked to disk."""
