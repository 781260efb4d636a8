"""The reference's pickled classifiers, read and written without running what is in them."""
