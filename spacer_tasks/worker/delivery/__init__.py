"""Which worker holds which message, and what becomes of it when that worker is no more."""
