"""Which rows become landmarks: one strategy per file, the same landmarks whatever the chunking and the workers."""
