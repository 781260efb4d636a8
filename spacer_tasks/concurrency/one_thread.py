"""Work on one thread, where its pieces are too small to be worth sharing: products of matrices,
and the layers of a network over a few patches.

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


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch run on the calling thread alone, until the block ends; others are as before.

    For a pass over a few patches, whose some hundred layers are too small to be shared: with two
    threads on a machine that was busy otherwise, it took five times as long.
    """
    # unlike the library of numpy's products, OpenMP has one number for each thread
    with ThreadpoolController().select(user_api="openmp").limit(limits=1):
        yield
