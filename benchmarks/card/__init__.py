"""What the first run on a card must check. See `__main__`."""
