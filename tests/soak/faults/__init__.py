"""What goes wrong while the suite's tasks run."""
