"""Commands that go through the queue, and those of its operator."""
