"""TFLite networks as ONNX; imported only to convert one, for it needs the extra [convert]."""
