"""All that Redis and the results prefix know of one task, for a person."""
