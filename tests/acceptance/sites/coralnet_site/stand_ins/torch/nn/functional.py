"""Nothing of it is used on import."""
