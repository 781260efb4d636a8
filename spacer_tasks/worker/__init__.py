"""A worker process: its start, its life, its end."""

# more than 12 modules: the life of one process, from its arguments to who ends it
