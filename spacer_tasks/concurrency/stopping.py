"""Where long work asks whether it should go on: between two files, two mini-batches, two messages.

Whoever starts the work says what is asked; where nobody does, it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_CHECK: ContextVar[Callable[[], None] | None] = ContextVar("spacer_stopping_check", default=None)


@contextmanager
def stopped_by(check: Callable[[], None]) -> Iterator[None]:
    """Within the block, `stop_if_asked` of this thread calls `check`, which raises to stop."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def stop_if_asked() -> None:
    """Raise what the check of this thread raises, if the work should stop."""
    check = _CHECK.get()
    if check is not None:
        check()
