"""Classifiers from and to storage, the last used ones kept in the process."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from spacer_tasks import storage
from spacer_tasks.classifiers.codec import decoded, encoded
from spacer_tasks.classifiers.model import Classifier
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.messages.tasks import ClassifierFormat

#: a large one (4096 dimensions, 200 hidden units) takes 7 MB
KEPT = 16

_kept: OrderedDict[tuple[DataLocation, str], Classifier] = OrderedDict()
_lock = Lock()


def load_classifier(loc: DataLocation) -> Classifier:
    """The classifier at a location; read once while it is not replaced there. One at a URL whose
    server cannot tell whether it was is read each time.

    Its file is ours or a pickle of the reference; the first bytes say which.

    Raises
    ------
    ClassifierFileError
        The file is no classifier file, or it is damaged.
    StorageError, StorageUnavailableError
        It cannot be read; see `storage.load`.
    """
    version = storage.version(loc)
    # where there is no version, reading says best why there is nothing
    if version is None or not storage.tells_apart(version):
        return decoded(storage.load(loc), str(loc))
    key = (loc, version)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    classifier = decoded(storage.load(loc), str(loc))
    with _lock:
        _kept[key] = classifier
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return classifier


def forget_classifiers() -> None:
    """Read classifiers anew from now on."""
    with _lock:
        _kept.clear()


def store_classifier(
    loc: DataLocation, classifier: Classifier, format: ClassifierFormat = "spacer"
) -> None:
    """Write the classifier file, in a format of `encoded`.

    Raises
    ------
    ClassifierFileError
        The reference has no such classifier ("pyspacer" only).
    StorageError, StorageUnavailableError
        It cannot be written; see `storage.store`.
    """
    storage.store(loc, encoded(classifier, format, str(loc)))
