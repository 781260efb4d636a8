"""What runs around a task: its message, lock, retries, progress, cancellation, dead letters."""
