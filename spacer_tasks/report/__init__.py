"""The page that shows what a training came to."""
