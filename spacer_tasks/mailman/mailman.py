"""Jobs from an SQS queue, through Celery, to an SQS queue of their answers.

docs/sqs.md says how it is run, and what is promised. What it knows is also in SQS, in Redis or
under the results prefix: it may be killed at any time, and several may work beside each other.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Sequence
from threading import Event
from uuid import NAMESPACE_URL, uuid5

from redis.exceptions import RedisError

from spacer_tasks import retries
from spacer_tasks.broker.server_kind import check_redis
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import (
    BrokerUnavailableError,
    ConfigError,
    InputError,
    SpacerError,
    SQSUnavailableError,
)
from spacer_tasks.execution.storage_away import check_results_prefix
from spacer_tasks.mailman import ledger
from spacer_tasks.mailman.ledger import Known
from spacer_tasks.mailman.sqs_queue import BATCH, SQSMessage, SQSQueue
from spacer_tasks.mailman.steps import JobInHand, Queues, Steps
from spacer_tasks.mailman.visibility import Heartbeat

logger = logging.getLogger(__name__)

#: jobs between their message and their answer; more than the workers run at once
IN_HAND = 100
#: seconds after which the messages of a mailman that died come back
VISIBILITY_S = 120
#: seconds to wait for a message, while jobs are in hand and while none is: SQS is asked, and paid,
#: less often then, but a SIGTERM waits for the end
BUSY_WAIT_S, IDLE_WAIT_S = 1, 5
#: seconds after which the jobs that are still due wait until new messages were taken: a storage
#: that hangs takes a minute for each
PASS_S = 5


#: as errors name them, in the order of `Queues`
ROLES = ("queue of jobs", "result queue", "dead-letter queue")


def _check_apart(names: Sequence[str]) -> None:
    """Refuse queues that are one: what goes into one would come out of the other, for ever."""
    for number, name in enumerate(names):
        if name in names[:number]:
            first, second = ROLES[names.index(name)], ROLES[number]
            raise ConfigError(
                f"the {first} and the {second} are one ({name}), expected three queues"
            )


def task_id_of(queue_url: str, message_id: str) -> str:
    """The Celery task of an SQS message: the same one whenever it is delivered."""
    return str(uuid5(NAMESPACE_URL, f"{queue_url}#{message_id}"))


class Mailman:
    """Takes jobs from one queue and puts their answers into another, until it is told to stop.

    Parameters
    ----------
    in_hand
        Jobs at once.
    visibility_s
        Seconds after which the messages of a mailman that died come back.
    """

    def __init__(
        self, queues: Queues, *, in_hand: int = IN_HAND, visibility_s: int = VISIBILITY_S
    ) -> None:
        self._queues = queues
        self._limit = in_hand
        self._visibility_s = visibility_s
        self._heartbeat = Heartbeat(queues.jobs, visibility_s)
        self._steps = Steps(queues)
        self._in_hand: dict[str, JobInHand] = {}
        self._stopping = Event()

    def stop(self) -> None:
        """Take no more and give back what is in hand; `run` returns then."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop` is called. What fails is tried again, for ever.

        Raises
        ------
        ConfigError
            At the start: `SPACER_RESULTS_PREFIX` is not set or refuses what is written, Redis is
            not one to use, or two of the queues are one.
        SQSError
            At the start: a queue does not exist, or SQS refuses access to it.
        """
        _ = get_settings().required_results_prefix
        failures, began = 0, False
        with self._heartbeat:
            while not self._stopping.is_set():
                try:
                    if not began:
                        self._begin()
                        began = True
                    self._advance()
                    self._take()
                    failures = 0
                except SpacerError as error:
                    if not began and isinstance(error, InputError):
                        raise
                    pause = retries.MAILMAN.wait_s(failures)
                    failures += 1
                    logger.warning("%s; trying again in %.1f s", error, pause)
                    self._stopping.wait(pause)
        self._give_back()

    def _begin(self) -> None:
        """See that jobs can be taken, handed on and answered, before the first is taken."""
        try:
            check_redis()
        except (RedisError, OSError) as error:
            raise BrokerUnavailableError(f"Redis does not answer: {error}") from error
        check_results_prefix()
        _check_apart([queue.arn for queue in self._queues])
        for queue in self._queues:
            logger.info("%s takes messages of up to %d bytes", queue, queue.max_bytes)

    def _advance(self) -> None:
        """Do the next step of each job that is due."""
        now = time.monotonic()
        # what failed comes last, for it may hang: those that are well do not wait for it
        due = sorted(
            (job for job in self._in_hand.values() if job.due <= now),
            key=lambda job: (job.failures, job.due),
        )
        known = ledger.look([job.task_id for job in due])
        for job in due:
            if self._stopping.is_set() or time.monotonic() > now + PASS_S:
                return
            self._step(job, known[job.task_id])
            if job.finished:
                self._heartbeat.let_go(job.message.message_id)
                del self._in_hand[job.message.message_id]

    def _step(self, job: JobInHand, known: Known) -> None:
        """Do a job's next step. What fails is its own, unless Redis or SQS do not answer."""
        try:
            try:
                self._steps.next(job, known)
            except SpacerError:
                raise
            except Exception as error:
                job.failed()
                logger.exception("%s: trying again in %.0f s", job, job.due - time.monotonic())
                self._steps.crashed(job, error)
        except (BrokerUnavailableError, SQSUnavailableError):
            # the others have their turn before it is tried again
            job.failed()
            raise
        except SpacerError as error:
            job.failed()
            logger.warning("%s: %s; trying again in %.1f s", job, error, job.due - time.monotonic())

    def _take(self) -> None:
        """Take messages, as many as there is room for; wait a while for the first."""
        room = self._limit - len(self._in_hand)
        if room <= 0:
            self._stopping.wait(BUSY_WAIT_S)
            return
        wait_s = BUSY_WAIT_S if self._in_hand else IDLE_WAIT_S
        for message in self._queues.jobs.receive(min(room, BATCH), wait_s, self._visibility_s):
            self._heartbeat.hold(message)
            self._in_hand[message.message_id] = self._job_of(message)

    def _job_of(self, message: SQSMessage) -> JobInHand:
        job = self._in_hand.get(message.message_id)
        if job is None:
            return JobInHand(message, task_id_of(self._queues.jobs.url, message.message_id))
        logger.info("%s came again while it is in hand", job)
        job.message = message
        return job

    def _give_back(self) -> None:
        receipts = [job.message.receipt for job in self._in_hand.values()]
        logger.info("stopped; messages given back: %d, their tasks go on", len(receipts))
        try:
            self._queues.jobs.change_visibility(receipts, 0)
        except SpacerError as error:
            logger.warning("they come back within %d s: %s", self._visibility_s, error)


def sqs_mailman(
    jobs_url: str,
    results_url: str,
    dead_letters_url: str,
    *,
    in_hand: int = IN_HAND,
    visibility_s: int = VISIBILITY_S,
) -> None:
    """Run a mailman in this process until SIGTERM or SIGINT. Raises as `Mailman.run`.

    Parameters
    ----------
    jobs_url, results_url, dead_letters_url
        The queues: where jobs come from, where answers go to, and where messages go to that are
        no jobs.
    in_hand, visibility_s
        As of `Mailman`.
    """
    urls = (jobs_url, results_url, dead_letters_url)
    _check_apart(urls)
    mailman = Mailman(Queues(*map(SQSQueue, urls)), in_hand=in_hand, visibility_s=visibility_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: mailman.stop())
    mailman.run()
