"""What a worker says to Prometheus of itself and of its card."""
