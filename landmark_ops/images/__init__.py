"""Pictures: encoded bytes to upright RGB arrays, and exact crops of them. Knows nothing of models, shards or flows.

Pixel convention, everywhere: pixel centres at integer coordinates from 0, in the upright original; a picture of width
w spans -0.5 to w - 0.5. Arrays are RGB uint8 (H, W, 3), C-contiguous.
"""
