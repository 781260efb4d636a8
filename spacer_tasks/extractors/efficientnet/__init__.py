"""EfficientNet-B0 and EfficientNet-Lite0."""
