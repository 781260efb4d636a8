"""Photos, patches and points."""
