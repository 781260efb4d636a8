"""Several feature workers on one host, started and watched by one process."""
