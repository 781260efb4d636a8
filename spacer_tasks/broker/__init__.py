"""Between callers and workers: the contract of queues, Redis clients, signatures, outages."""

# more than 12 modules: each holds one kind of key in Redis, or one way to ask it
