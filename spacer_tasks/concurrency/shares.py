"""A quantity that threads share: who wants a part waits until as much is free, in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition

#: seconds between two looks at whether the one who waits should go on
LOOK_S = 1.0


class Shares:
    """Parts of one quantity, handed out in the order of asking."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._taken = 0
        self._waiting: deque[object] = deque()

    @property
    def taken(self) -> int:
        """What is handed out now."""
        return self._taken

    def take(self, amount: int, of: int, look: Callable[[], None] = lambda: None) -> None:
        """Wait until `amount` is free, and take it.

        Parameters
        ----------
        of
            The whole; not less than `amount`.
        look
            Called now and then while waiting; it raises to stop.
        """
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            try:
                while self._waiting[0] is not turn or self._taken + amount > of:
                    self._changed.wait(LOOK_S)
                    look()
                self._taken += amount
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()

    def give_back(self, amount: int) -> None:
        """Free what was taken."""
        with self._changed:
            self._taken -= amount
            self._changed.notify_all()
