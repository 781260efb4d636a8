"""How a task comes back: after a transient error, or while another worker runs it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celery import Task
from celery.exceptions import Reject

from spacer_tasks import retries
from spacer_tasks.broker.outages import redis_is_away
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import RunningElsewhere, SpacerError

if TYPE_CHECKING:
    CeleryTask = Task[..., Any]
else:
    # generic in its type stubs only
    CeleryTask = Task

logger = logging.getLogger(__name__)


class RetriedTask(CeleryTask):
    """A task that is sent again under its id, to run after the wait of `retries.TASK`."""

    abstract = True
    #: tries after the first
    max_retries = retries.TASK.retries

    def retry_or_give_up(self, error: SpacerError) -> None:
        """Return if no try is left.

        Raises
        ------
        celery.exceptions.Retry
            The next try was sent.
        celery.exceptions.Reject
            It could not be sent: the message in hand goes back to its queue.
        """
        before = self.request.retries
        if self.max_retries is not None and before >= self.max_retries:
            return
        try:
            raise self.retry(exc=error, countdown=retries.TASK.wait_s(before))
        except Reject:
            # Celery would drop the task
            raise Reject(str(error), requeue=True) from error

    def stand_aside(self, found: RunningElsewhere) -> None:
        """Send the task again for later: by then the other worker has answered it, or its lock has
        lapsed. That is no try.

        Raises
        ------
        celery.exceptions.Reject
            As `retry_or_give_up`.
        """
        wait = max(
            retries.STAND_ASIDE_LEAST_S,
            retries.STAND_ASIDE_SHARE * get_settings().worker_silent_s,
        )
        logger.info("%s: looked at again in %.0f s", found, wait)
        again = self.signature_from_request(countdown=wait, retries=self.request.retries)
        try:
            again.apply_async()
        except Exception as error:
            if not redis_is_away(error):
                raise
            raise Reject(requeue=True) from error
