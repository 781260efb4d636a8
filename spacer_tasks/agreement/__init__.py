"""How far two sets of labels for the same points agree."""
