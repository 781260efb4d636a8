"""Which network computes features, and features of another one."""
