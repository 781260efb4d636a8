"""A worker takes nothing while the storage of its tasks is away, or refuses its answers.

A task that met it is given back by whoever ran it (`execution/storage_away.py`). From then on this
thread asks the place again and again, and lets the worker go on when it answers.
"""

from __future__ import annotations

import logging
import threading
import time

from spacer_tasks import retries
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.execution.storage_away import StorageAway, place_fault, results_fault
from spacer_tasks.worker.delivery import intake

logger = logging.getLogger(__name__)

CAUSE = "storage"
#: places asked again, at most, beside the results prefix: they are mostly of one server
_PLACES_MAX = 20


class StorageWatch:
    """The places that are away, and the thread that asks them."""

    def __init__(self) -> None:
        #: by their addresses; the results prefix is the empty one
        self._away: dict[str, str] = {}
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def note(self, found: StorageAway) -> None:
        """Take nothing until this place answers."""
        with self._guard:
            if not self._away:
                # told once, not after each task and each question
                intake.close(CAUSE, found.why)
            if len(self._away) <= _PLACES_MAX:
                self._away[found.uri] = found.why
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="storage", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        for wait in retries.STORAGE_AWAY.waits():
            time.sleep(wait)
            try:
                if self._all_answer():
                    return
            except Exception:
                # nobody else would open the intake again
                logger.exception("asking the storage failed")

    def _all_answer(self) -> bool:
        """Whether the worker goes on, with nothing left to ask."""
        for uri in tuple(self._away):
            if place_fault(DataLocation.parse(uri)) if uri else results_fault():
                return False
            with self._guard:
                del self._away[uri]
        with self._guard:
            if self._away:
                return False
            self._thread = None
            intake.open_again(CAUSE)
            return True


#: this worker's
WATCH = StorageWatch()
