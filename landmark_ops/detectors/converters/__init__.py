"""One file per format that models are published in, beside ONNX, and converted from."""
