"""Commands that work in this process: extract, train, classify."""
