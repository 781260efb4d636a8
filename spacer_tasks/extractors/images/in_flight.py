"""The memory that the images of one process take at the same time, as their headers say.

Each image is within its own limit, but a worker of many threads decodes many at once. So each task
takes a share of `SPACER_DECODED_BYTES` before its image is decoded, waits where others have it, and
holds it until it is done with the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from spacer_tasks.concurrency.shares import Shares
from spacer_tasks.concurrency.stopping import stop_if_asked
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import DataLimitError

SHARES = Shares()


class Share:
    """What one task has taken."""

    def __init__(self) -> None:
        self.bytes = 0

    def grow_to(self, wanted: int, name: str) -> None:
        """Have `wanted` bytes or more; `name` says of which image.

        Raises
        ------
        DataLimitError
            The worker never has as much.
        """
        limit = get_settings().decoded_bytes
        if wanted > limit:
            raise DataLimitError(
                f"{name}: decoding it takes {wanted} bytes, more than the {limit} of"
                " SPACER_DECODED_BYTES, which all images of a process share"
            )
        if wanted <= self.bytes:
            return
        # never held while waiting for more: two that do would wait for each other
        self.release()
        SHARES.take(wanted, limit, stop_if_asked)
        self.bytes = wanted

    def release(self) -> None:
        """Give back what is held."""
        SHARES.give_back(self.bytes)
        self.bytes = 0


_share: ContextVar[Share | None] = ContextVar("spacer_decoded_share", default=None)


@contextmanager
def share() -> Iterator[Share]:
    """The share of the work in this block; of the block around it where there is one."""
    outer = _share.get()
    if outer is not None:
        yield outer
        return
    mine = Share()
    token = _share.set(mine)
    try:
        yield mine
    finally:
        _share.reset(token)
        mine.release()
