"""Between callers and workers: the contract of queues, Redis clients, signatures, outages."""
