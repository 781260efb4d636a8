"""Matrix products on one thread, where they are too small to be worth sharing.

The threads of a product wait for each other. On a busy machine a small one then takes longer by a
hundred times: 16 ms instead of 0.15 ms were measured for 100 points, as soon as another process
took one of the two cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import numpy  # noqa: F401 -- so that its library is there to be found
from threadpoolctl import ThreadpoolController

_BLAS = ThreadpoolController().select(user_api="blas")
#: The library has one number for the whole process. Two blocks that overlap would each give back
#: what they found, and the later one found the other's 1, which then stays.
_ALONE = RLock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let numpy's products run on the calling thread alone, until the block ends.

    Of several threads, one is in such a block at a time.
    """
    with _ALONE, _BLAS.limit(limits=1):
        yield
