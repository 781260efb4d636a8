"""What the queue leaves behind: what of it is still needed, and how the rest is removed."""
