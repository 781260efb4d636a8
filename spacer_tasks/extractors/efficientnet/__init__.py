"""EfficientNet-B0."""
