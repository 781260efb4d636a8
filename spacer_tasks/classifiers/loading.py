"""Classifiers from and to storage, the last used ones kept in the process."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from spacer_tasks import storage
from spacer_tasks.classifiers.file_format import from_bytes, to_bytes
from spacer_tasks.classifiers.model import Classifier
from spacer_tasks.classifiers.pyspacer_reading import from_pyspacer_bytes
from spacer_tasks.classifiers.pyspacer_writing import to_pyspacer_bytes
from spacer_tasks.data_classes import DataLocation
from spacer_tasks.messages import ClassifierFormat

#: our own file, or a pickle that pyspacer 0.14 reads
#: a large one (4096 dimensions, 200 hidden units) takes 7 MB
KEPT = 16

_kept: OrderedDict[tuple[DataLocation, str], Classifier] = OrderedDict()
_lock = Lock()


def load_classifier(loc: DataLocation) -> Classifier:
    """The classifier at a location; read once while it is not replaced there.

    Its file is ours or a pickle of the reference; the first bytes say which.

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
        return _from_bytes(storage.load(loc), str(loc))
    key = (loc, version)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    classifier = _from_bytes(storage.load(loc), str(loc))
    with _lock:
        _kept[key] = classifier
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return classifier


def store_classifier(
    loc: DataLocation, classifier: Classifier, format: ClassifierFormat = "spacer"
) -> None:
    """Write the classifier file.

    Parameters
    ----------
    format
        "spacer": our file, which keeps everything. "pyspacer": a pickle that pyspacer 0.14 loads
        and classifies with as we do; it has no place for how the classifier was trained.

    Raises
    ------
    ClassifierFileError
        The reference has no such classifier ("pyspacer" only).
    StorageError, StorageUnavailableError
        It cannot be written; see `storage.store`.
    """
    if format == "pyspacer":
        storage.store(loc, to_pyspacer_bytes(classifier, str(loc)))
    else:
        storage.store(loc, to_bytes(classifier))


def _from_bytes(data: bytes, name: str) -> Classifier:
    # at the ninth byte a safetensors file has its header, and no pickle of a classifier a brace
    if data[:1] == b"\x80" and data[8:9] != b"{":
        return from_pyspacer_bytes(data, name)
    return from_bytes(data, name)
