"""Commands that go through the queue, and those of its operator."""

# more than 12 modules: a command each, and what several of them share
