"""What becomes of a job or a task: one word for each state, and what others call it.

Celery, stored answers, errors and CoralNet have words of their own. They are translated here and
nowhere else; docs/jobs.md is the same as a table, and a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from spacer_tasks.exceptions import (
    AnswerExpiredError,
    JobLostError,
    TaskAbandonedError,
    TaskCancelledError,
    TaskTimeoutError,
)

#: what Celery is told of a task that reports how far it is; our own word among Celery's
PROGRESS = "PROGRESS"


class JobState(str, Enum):
    """What is known of a job, or of any task."""

    #: no trace of it: never sent, or everything that knew of it is gone
    UNKNOWN = "UNKNOWN"
    #: waits in its queue
    QUEUED = "QUEUED"
    #: a worker has it, or the parts of a batch are under way
    RUNNING = "RUNNING"
    #: a try met a transient error; the next one waits
    RETRYING = "RETRYING"
    #: has its answer
    SUCCEEDED = "SUCCEEDED"
    #: has its answer, a `JobReturnMsg` whose `ok` is false
    NOT_OK = "NOT_OK"
    #: ended in an error, which says of which kind it is
    FAILED = "FAILED"
    #: a caller cancelled it
    CANCELLED = "CANCELLED"
    #: given up, because its workers ended while they ran it
    ABANDONED = "ABANDONED"
    #: ended at the time limit
    TIMED_OUT = "TIMED_OUT"
    #: was sent, and is in no queue, at no worker and without an answer, for now
    MISSING = "MISSING"
    #: the same for so long that Redis or a worker must have lost it
    LOST = "LOST"
    #: finished, and its answer is gone from the results prefix
    EXPIRED = "EXPIRED"
    #: finished, and its answer cannot be read now
    UNREADABLE = "UNREADABLE"

    def __str__(self) -> str:
        # of Python 3.10 and of later ones
        return self.value

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self not in _OPEN

    @property
    def answered(self) -> bool:
        """Whether there is an answer, good or not."""
        return self in (JobState.SUCCEEDED, JobState.NOT_OK)

    @property
    def coralnet_word(self) -> str:
        """What CoralNet's collection counts it as."""
        return CORALNET_WORDS[self]

    @classmethod
    def of_celery(cls, word: str, error_type: str = "") -> JobState:
        """By Celery's word, and the class of the error that stands beside it."""
        # what else Celery says of a task is of one that a worker has
        state = CELERY_WORDS.get(word, cls.RUNNING)
        return cls.of_error(error_type) if state is cls.FAILED else state

    @classmethod
    def of_error(cls, error_type: str) -> JobState:
        """By the class of the error that it ended in, with its module."""
        return ERRORS.get(error_type, cls.FAILED)

    @classmethod
    def of_answer(cls, answer: object) -> JobState:
        """By its answer, or a summary of that; only a job's says whether it is `ok`."""
        ok = answer.get("ok") if isinstance(answer, Mapping) else None
        return cls.NOT_OK if ok is False else cls.SUCCEEDED


_OPEN = {
    JobState.UNKNOWN,
    JobState.QUEUED,
    JobState.RUNNING,
    JobState.RETRYING,
    JobState.MISSING,
    JobState.UNREADABLE,
}

#: of a task's result in Redis; PENDING is of a task that has none. Written out, because Celery is
#: slow to import and who reads answers needs nothing else of it
CELERY_WORDS = {
    "PENDING": JobState.UNKNOWN,
    "RECEIVED": JobState.RUNNING,
    "STARTED": JobState.RUNNING,
    PROGRESS: JobState.RUNNING,
    "RETRY": JobState.RETRYING,
    "SUCCESS": JobState.SUCCEEDED,
    "FAILURE": JobState.FAILED,
    "REVOKED": JobState.CANCELLED,
}

#: the errors that have a word of their own; others are told by their kind (input, transient, bug)
ERRORS = {
    **{
        f"{cls.__module__}.{cls.__qualname__}": state
        for cls, state in (
            (TaskCancelledError, JobState.CANCELLED),
            (TaskAbandonedError, JobState.ABANDONED),
            (TaskTimeoutError, JobState.TIMED_OUT),
            (JobLostError, JobState.LOST),
            (AnswerExpiredError, JobState.EXPIRED),
        )
    },
    # Celery's, of a task that was revoked before it began
    "celery.exceptions.TaskRevokedError": JobState.CANCELLED,
}

#: of CoralNet's collection, whose log counts them; its other queues say SUCCEEDED and FAILED too
CORALNET_WORDS = {
    JobState.UNKNOWN: "MISSING",
    JobState.QUEUED: "QUEUED",
    JobState.RUNNING: "RUNNING",
    JobState.RETRYING: "RUNNING",
    JobState.SUCCEEDED: "SUCCEEDED",
    JobState.NOT_OK: "FAILED",
    JobState.FAILED: "FAILED",
    JobState.CANCELLED: "FAILED",
    JobState.ABANDONED: "FAILED",
    JobState.TIMED_OUT: "FAILED",
    JobState.MISSING: "MISSING",
    JobState.LOST: "LOST",
    JobState.EXPIRED: "EXPIRED",
    JobState.UNREADABLE: "UNREADABLE",
}
