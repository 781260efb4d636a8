"""Stored features and scores computed again, to see how far they are from what is stored."""
