"""Scripts of a deployment: its bucket, its health check, a test of the whole."""
