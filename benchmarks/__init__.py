"""This project beside the reference, in one run, on the same files: `make bench`."""
