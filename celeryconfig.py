"""The operator's file."""
