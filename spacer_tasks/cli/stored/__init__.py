"""Commands over stored features and classifiers: verify, convert."""
