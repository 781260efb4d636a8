"""Any network as an ONNX file, which is taken as data: checked, tried in a process of its own."""
