"""Keeps messages of an SQS queue from coming back while they are worked on."""

from __future__ import annotations

import logging
from threading import Event, Lock, Thread
from types import TracebackType

from spacer_tasks.exceptions import SpacerError
from spacer_tasks.mailman.sqs_queue import SQSMessage, SQSQueue

logger = logging.getLogger(__name__)

#: beats within the time after which a message comes back: two may fail
BEATS = 3
#: seconds to wait at the end for a beat under way; SQS may be away
END_S = 2.0


class Heartbeat:
    """A thread that extends the visibility time-out of the messages it holds.

    A message that SQS refuses to extend (after 12 hours it always does) is let go: it will be
    delivered again, and can then be held again.

    Parameters
    ----------
    visibility_s
        Seconds after which messages come back when this process dies.
    """

    def __init__(self, queue: SQSQueue, visibility_s: int) -> None:
        self._queue = queue
        self._visibility_s = visibility_s
        self._held: dict[str, SQSMessage] = {}
        self._lock = Lock()
        self._ending = Event()
        self._thread = Thread(target=self._run, name="sqs-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join(END_S)

    def hold(self, message: SQSMessage) -> None:
        """From now on, keep a message. A later delivery of it replaces an earlier one."""
        with self._lock:
            self._held[message.message_id] = message

    def let_go(self, message_id: str) -> None:
        """Keep it no longer."""
        with self._lock:
            self._held.pop(message_id, None)

    def _run(self) -> None:
        while not self._ending.wait(self._visibility_s / BEATS):
            try:
                self._beat()
            except SpacerError as error:
                logger.warning("messages are not kept from coming back: %s", error)
            except Exception:
                # a bug here must not end the thread: what is held would come back, again and again
                logger.exception("messages are not kept from coming back")

    def _beat(self) -> None:
        with self._lock:
            held = {message.receipt: message for message in self._held.values()}
        for receipt, reason in self._queue.change_visibility(
            list(held), self._visibility_s
        ).items():
            message = held[receipt]
            with self._lock:
                if self._held.get(message.message_id) != message:
                    continue
                del self._held[message.message_id]
            logger.warning("message %s will come back: %s", message.message_id, reason)
