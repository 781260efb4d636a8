"""The files of an extractor: where they are kept, and what is in them."""
