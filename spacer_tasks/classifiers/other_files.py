"""What a file is that lies among classifiers and is none.

Who converts ten years of a bucket wants to hear of each file that could be a classifier and is not
taken, and not of each photo beside them. So a file is let pass only where its content says what it
is, and its name does not say that it should be a classifier.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from pathlib import PurePosixPath

#: extensions of classifiers, by CoralNet, by this project, and by others' habit
CLASSIFIERS = {".model", ".classifier", ".pkl", ".pickle", ".joblib", ".sav", ".safetensors"}
#: how files of other kinds begin
STARTS = {
    b"\xff\xd8\xff": "a JPEG",
    b"\x89PNG\r\n\x1a\n": "a PNG",
    b"GIF8": "a GIF",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"PK\x03\x04": "a zip archive, as feature files are",
    b"%PDF-": "a PDF",
}
TEXTS = ("JSON", "a text")
#: bytes that are looked at to see whether all of it is text
HEAD = 65536
#: control characters that texts have
SPACES = b"\t\n\r\f"
#: what a damaged pickle of protocol 0, which is text, still holds
PICKLED = (b"sklearn", b"copy_reg", b"copyreg")


def other_kind(data: bytes, filename: str) -> str | None:
    """What the file is, or None where it might be a classifier that is damaged or unknown here.

    Parameters
    ----------
    data
        Its content, of which `format_of` knows no format.
    """
    if PurePosixPath(filename).suffix.lower() in CLASSIFIERS:
        return None
    kind = _kind(data)
    if kind in TEXTS and any(mark in data for mark in PICKLED):
        return None
    return kind


def found_instead(data: bytes) -> str:
    """What a file looks like that should be a classifier, in words for an error."""
    kind = _kind(data)
    if kind:
        return kind
    if data.startswith(b"\x80"):
        return "a pickle of something else"
    if data.startswith(b"\x1f\x8b"):
        return "a file compressed by gzip"
    if data[8:9] == b"{":
        return "a safetensors file of something else"
    return f"{len(data)} bytes that start with {data[:8]!r}"


def _kind(data: bytes) -> str | None:
    for start, kind in STARTS.items():
        if data.startswith(start):
            return kind
    head = data[:HEAD]
    if min(head.translate(None, SPACES), default=32) < 32:
        return None
    try:
        # not the last part: a character of it may be cut
        getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
    json, text = TEXTS
    return json if data.lstrip()[:1] in (b"{", b"[") else text
