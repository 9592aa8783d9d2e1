"""Storage: sources opened as rows, embeddings written as Zarr. Knows nothing of methods or flows."""
