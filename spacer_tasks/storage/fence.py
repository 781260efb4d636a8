"""What is asked at the last moment before an object is written: whether this thread still may.

A worker can be suspended anywhere, while another finishes its task and a newer task writes the same
place. So the question is put where the write leaves this process: before each try of a request
to S3, and before a file gets its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_FENCE: ContextVar[Callable[[], None] | None] = ContextVar("spacer_storage_fence", default=None)


@contextmanager
def fenced_by(check: Callable[[], None]) -> Iterator[None]:
    """Within the block, each write of this thread calls `check` first, which raises to prevent it.

    The check may read objects. What it writes itself is not checked.
    """
    token = _FENCE.set(check)
    try:
        yield
    finally:
        _FENCE.reset(token)


def pass_fence() -> None:
    """Raise what the check of this thread raises, if it may not write any more."""
    check = _FENCE.get()
    if check is None:
        return
    token = _FENCE.set(None)
    try:
        check()
    finally:
        _FENCE.reset(token)
