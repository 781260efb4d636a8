"""A worker process: its start, its life, its end."""
