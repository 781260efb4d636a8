"""How long the mailman waits after what failed, and for an S3 that is away."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from spacer_tasks.exceptions import StorageUnavailableError

#: seconds; the longest pause after an error
LONGEST_PAUSE_S = 60


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row: growing, random, a minute at most."""
    return min(LONGEST_PAUSE_S, 2.0 ** min(failures - 2, 10)) * random.uniform(0.5, 1)


class StoragePause:
    """Asks the storage of the results prefix again only after a pause, once it did not answer.

    A request that hangs takes a minute and more, and every finished job needs one: without this,
    jobs that need none would wait for all of them.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0
        self._reason = ""

    def check(self) -> None:
        """Nothing, if the storage may be asked now.

        Raises
        ------
        StorageUnavailableError
            It did not answer a moment ago; the text is what was said then.
        """
        if time.monotonic() < self._until:
            raise StorageUnavailableError(self._reason)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Around what asks the storage. Raises as `check`, and what is raised inside."""
        self.check()
        try:
            yield
        except StorageUnavailableError as error:
            self._failures += 1
            self._until = time.monotonic() + pause_after(self._failures)
            self._reason = str(error)
            raise
        self._failures = 0
