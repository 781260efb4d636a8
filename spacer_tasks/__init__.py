"""Extract features from survey photos, train classifiers, classify: as tasks on a queue.

Nothing is imported here: a web process that only sends tasks must not load what computes.
"""

__version__ = "0.1.0"
