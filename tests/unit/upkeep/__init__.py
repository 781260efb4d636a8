"""What is left behind, and what goes."""
