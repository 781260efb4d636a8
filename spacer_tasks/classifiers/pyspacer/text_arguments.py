"""What instructions have as text: numbers, texts, places in the memory, and names.

All but names are of protocol 0, which Python 2 wrote where nobody asked for another. Lines of
numbers are limited in length: turning digits into a number takes time by the square of their count.

Source: `pickletools` of the standard library; `repr` of Python 2 for its byte strings.
"""

from __future__ import annotations

import re
from io import BytesIO

#: characters of a number; the largest one that a classifier holds, a seed of 128 bits, has 39
_NUMBER = 100
#: the same of a place in the memory
_PLACE = 10
_INTEGER = re.compile(rb"-?[0-9]+")
#: what `repr` of Python 2 writes for a byte that is no plain character, beside a double backslash
_ESCAPES = (b"\\x", b"\\n", b"\\r", b"\\t", b"\\'", b'\\"')


def read_int(file: BytesIO) -> int:
    """A whole number, or a truth: True and False stand as 01 and 00."""
    text = _line(file, _NUMBER)
    return text == b"01" if text in (b"00", b"01") else _integer(text)


def read_long(file: BytesIO) -> int:
    """A whole number with an L after it."""
    return _integer(_line(file, _NUMBER).removesuffix(b"L"))


def read_float(file: BytesIO) -> float:
    """A number with a point, an exponent, or none of them."""
    return float(_line(file, _NUMBER))


def read_place(file: BytesIO) -> int:
    """A place in the memory."""
    return _integer(_line(file, _PLACE))


def read_string(file: BytesIO) -> str:
    """Python 2's bytes, in quotes, as the text of latin1 that pickles of protocol 2 give too."""
    text = _line(file)
    quote = text[:1]
    if len(text) < 2 or quote not in (b"'", b'"') or not text.endswith(quote):
        raise ValueError("a string without its quotes")
    inner = text[1:-1]
    # counted, not matched: arrays are megabytes of escapes
    others = inner.replace(b"\\\\", b"")
    if others.count(b"\\") != sum(map(others.count, _ESCAPES)):
        raise ValueError("a string with an escape that Python 2 does not write")
    return inner.decode("unicode_escape")


def read_unicode(file: BytesIO) -> str:
    """A text."""
    return _line(file).decode("raw_unicode_escape")


def read_names(file: BytesIO) -> tuple[str, str]:
    """A module and a name in it."""
    return _line(file).decode("ascii"), _line(file).decode("ascii")


def _line(file: BytesIO, most: int = -1) -> bytes:
    """The rest of the line, without its end."""
    line = file.readline(most if most < 0 else most + 1)
    if not line.endswith(b"\n"):
        raise ValueError("a line that is cut short or too long")
    return line[:-1]


def _integer(text: bytes) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("a number that is none")
    return int(text)
