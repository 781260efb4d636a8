"""Classifiers from and to storage, the last used ones kept in the process."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from spacer_tasks import storage
from spacer_tasks.classifiers.file_format import from_bytes, to_bytes
from spacer_tasks.classifiers.model import Classifier
from spacer_tasks.data_classes import DataLocation

#: a large one (4096 dimensions, 200 hidden units) takes 7 MB
KEPT = 16

_kept: OrderedDict[tuple[DataLocation, str], Classifier] = OrderedDict()
_lock = Lock()


def load_classifier(loc: DataLocation) -> Classifier:
    """The classifier at a location; read once while it is not replaced there.

    Raises
    ------
    ClassifierFileError
        The file is no classifier file, or it is damaged.
    StorageError, StorageUnavailableError
        It cannot be read; see `storage.load`.
    """
    version = storage.version(loc)
    if version is None:
        # reading says best why there is nothing
        return from_bytes(storage.load(loc), str(loc))
    key = (loc, version)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    classifier = from_bytes(storage.load(loc), str(loc))
    with _lock:
        _kept[key] = classifier
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return classifier


def store_classifier(loc: DataLocation, classifier: Classifier) -> None:
    """Write the classifier file. Raises as `storage.store`."""
    storage.store(loc, to_bytes(classifier))
