"""Between callers and workers: the contract of queues, Redis clients, signatures, outages."""

# more than 12 modules: each is one thing that callers and workers agree on
