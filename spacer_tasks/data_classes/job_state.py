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
    """What is known of a job, or of any task; `MEANINGS` says it in words."""

    UNKNOWN = "UNKNOWN"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    SUCCEEDED = "SUCCEEDED"
    NOT_OK = "NOT_OK"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    ABANDONED = "ABANDONED"
    TIMED_OUT = "TIMED_OUT"
    MISSING = "MISSING"
    LOST = "LOST"
    EXPIRED = "EXPIRED"
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
    def meaning(self) -> str:
        """In words, for a person."""
        return MEANINGS[self]

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


MEANINGS = {
    JobState.UNKNOWN: "there is no trace of it",
    JobState.QUEUED: "waits in its queue",
    JobState.RUNNING: "a worker has it, or parts of the batch are under way",
    JobState.RETRYING: "a try met a transient error, and the next one waits",
    JobState.SUCCEEDED: "has its answer",
    JobState.NOT_OK: "has its answer, a `JobReturnMsg` whose `ok` is false",
    JobState.FAILED: "ended in an error of the kind input, transient or bug",
    JobState.CANCELLED: "a caller cancelled it, or the batch that it is a part of",
    JobState.ABANDONED: "given up, because each worker that began it ended",
    JobState.TIMED_OUT: "ended at the time limit",
    JobState.MISSING: "was sent, and is in no queue, at no worker and without an answer",
    JobState.LOST: "the same, twice in a while: Redis or a worker lost it",
    JobState.EXPIRED: "finished, and its answer is gone from the results prefix",
    JobState.UNREADABLE: "finished, and its answer cannot be read now",
}

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

#: of CoralNet's collection, whose log counts them. Its other queues say SUCCEEDED of every job that
#: gave an answer, `ok` or not, and FAILED of one without
CORALNET_WORDS = {
    JobState.UNKNOWN: "MISSING",
    JobState.QUEUED: "QUEUED",
    JobState.RUNNING: "RUNNING",
    JobState.RETRYING: "RUNNING",
    JobState.SUCCEEDED: "SUCCEEDED",
    JobState.NOT_OK: "SUCCEEDED",
    JobState.FAILED: "FAILED",
    JobState.CANCELLED: "FAILED",
    JobState.ABANDONED: "FAILED",
    JobState.TIMED_OUT: "FAILED",
    JobState.MISSING: "MISSING",
    JobState.LOST: "LOST",
    JobState.EXPIRED: "EXPIRED",
    JobState.UNREADABLE: "UNREADABLE",
}
