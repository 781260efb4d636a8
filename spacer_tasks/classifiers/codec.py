"""The two formats of classifier files: which one a file has, reading either, writing either."""

from __future__ import annotations

from spacer_tasks.classifiers.model import Classifier
from spacer_tasks.classifiers.pyspacer.reading import from_pyspacer_bytes
from spacer_tasks.classifiers.pyspacer.writing import to_pyspacer_bytes
from spacer_tasks.classifiers.safetensors_file import FORMAT, from_bytes, to_bytes
from spacer_tasks.messages.tasks import ClassifierFormat

#: bytes; no classifier's header is longer, and the first bytes of a text name a longer one
MAX_HEADER = 10**8
#: how a pickle of protocol 0 or 1 begins whose first object is a classifier
OLDER_PICKLES = (b"ccopy_reg\n_reconstructor\n", b"ccopyreg\n_reconstructor\n")


def format_of(data: bytes) -> ClassifierFormat | None:
    """The format of a file that is meant to be a classifier, or None where it is something else.

    The file may still be damaged.
    """
    if _is_pickle(data):
        return "pyspacer" if b"CalibratedClassifierCV" in data else None
    if not _has_header(data):
        return None
    length = int.from_bytes(data[:8], "little")
    return "spacer" if FORMAT.encode() in data[8 : 8 + length] else None


def decoded(data: bytes, name: str) -> Classifier:
    """The classifier in a file of either format; `name` says which file in errors.

    Raises
    ------
    ClassifierFileError
        The file is no classifier file, or it is damaged.
    """
    if _is_pickle(data):
        return from_pyspacer_bytes(data, name)
    return from_bytes(data, name)


def encoded(classifier: Classifier, format: ClassifierFormat, name: str) -> bytes:
    """The file of a classifier; `name` says in errors where it was to be stored.

    Parameters
    ----------
    format
        "spacer": our file, which keeps everything. "pyspacer": a pickle that pyspacer 0.14 loads
        and classifies with as we do; it has no place for how the classifier was trained.

    Raises
    ------
    ClassifierFileError
        The reference has no such classifier ("pyspacer" only).
    """
    if format == "pyspacer":
        return to_pyspacer_bytes(classifier, name)
    return to_bytes(classifier)


def _is_pickle(data: bytes) -> bool:
    return data.startswith(OLDER_PICKLES) or (data[:1] == b"\x80" and not _has_header(data))


def _has_header(data: bytes) -> bool:
    # at the ninth byte a safetensors file has its header, and no pickle of a classifier a brace
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= MAX_HEADER
