"""What runs around a task: its message, lock, retries, progress, cancellation, dead letters."""
# more than 12 modules: each is one thing that happens around a task, and none knows most others
