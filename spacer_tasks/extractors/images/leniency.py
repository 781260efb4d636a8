"""Whether Pillow reads images that are cut short, decided by each thread for itself.

Pillow has one switch for a whole process, `PIL.ImageFile.LOAD_TRUNCATED_IMAGES`. Where it is on,
what is missing of an image is left blank in silence; where it is off, that is an error. Here both
are needed: a photo is read strictly first, to know whether anything is missing, by several threads
at once. And in a process of others, a web site's, the switch is theirs: CoralNet has it on.

So the switch is replaced by one that answers each thread for itself: one that reads here as it
asked, any other as the process had set it. Pillow only ever asks whether it is true.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import cast

from PIL import ImageFile

_asked: ContextVar[bool | None] = ContextVar("_asked", default=None)
_lock = Lock()


class _Switch:
    def __init__(self, others: bool) -> None:
        self.others = others

    def __bool__(self) -> bool:
        asked = _asked.get()
        return self.others if asked is None else asked

    def __eq__(self, other: object) -> bool:
        return bool(self) == other

    def __hash__(self) -> int:
        return hash(bool(self))

    def __repr__(self) -> str:
        return repr(bool(self))


@contextmanager
def cut_images(*, read: bool) -> Iterator[None]:
    """Inside, this thread reads images that are cut short, or refuses them.

    A process that sets Pillow's switch while a thread is inside has its way until the next time.
    """
    with _lock:
        there: object = ImageFile.LOAD_TRUNCATED_IMAGES
        # again where the process has set it since
        if not isinstance(there, _Switch):
            ImageFile.LOAD_TRUNCATED_IMAGES = cast(bool, _Switch(bool(there)))
    token = _asked.set(read)
    try:
        yield
    finally:
        _asked.reset(token)
