"""A worker process: its start, its life, its end."""

# more than 12 modules: what is looked at before a start, and what watches after it, one file each
