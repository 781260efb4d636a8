"""A torch network as an ONNX model, made in memory."""
