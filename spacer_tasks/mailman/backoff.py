"""How the mailman waits for an S3 that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from spacer_tasks import retries
from spacer_tasks.exceptions import StorageUnavailableError


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
            self._until = time.monotonic() + retries.MAILMAN.wait_s(self._failures)
            self._failures += 1
            self._reason = str(error)
            raise
        self._failures = 0
