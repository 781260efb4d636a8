"""What a network runs in: devices, precision, ONNX Runtime, CUDA, passes over several images."""
