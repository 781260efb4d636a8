"""Percent cover from labelled points, with its uncertainty and the classifier's errors."""
