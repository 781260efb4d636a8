"""Since when this process decodes images, for who ends it when one takes too long.

A decoder is a program in C that cannot be stopped by itself, and some files make it work for very
long. Without numpy or Pillow, so that any worker can ask.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

#: when each that is under way was begun, by a number of its own
_begun: dict[object, float] = {}


@contextmanager
def decoding() -> Iterator[None]:
    """Around the decoding of one image."""
    this = object()
    _begun[this] = time.monotonic()
    try:
        yield
    finally:
        del _begun[this]


def longest_s() -> float:
    """Seconds since the oldest that is under way was begun; 0 where none is."""
    # a copy: other threads begin and end theirs
    begun = list(_begun.values())
    return time.monotonic() - min(begun) if begun else 0.0
