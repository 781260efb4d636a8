"""How a task comes back: after a transient error, or while another worker runs it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celery import Task
from celery.exceptions import Reject
from celery.states import RETRY

from spacer_tasks import retries
from spacer_tasks.broker.outages import refuses_for_now
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import RunningElsewhere, SpacerError
from spacer_tasks.execution.storage_away import found_away

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

    def give_back_in_outage(self, error: SpacerError) -> None:
        """Return if what the task failed of is the task's own.

        Raises
        ------
        celery.exceptions.Reject
            The storage is away, or refuses this worker: the message goes back to its queue, and the
            worker takes no more. That is no try.
        """
        found = found_away(error)
        if found is None:
            return
        logger.warning("%s is given back: %s", self.request.id, found)
        try:
            # so that callers do not think that it runs
            self.backend.store_result(str(self.request.id), error, RETRY)
        except Exception as away:
            if not refuses_for_now(away):
                raise
        raise Reject(found, requeue=True) from error

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
            if not refuses_for_now(error):
                raise
            raise Reject(requeue=True) from error
