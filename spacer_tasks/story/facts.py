"""What is told of one task: `spacer-tasks jobs show ID --json` is this as JSON.

What is not known is None, or empty. Times are those of the clock of whoever noted them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.results import TaskError


class Job(BaseModel):
    """What its sender keeps of a task that is a job.

    Attributes
    ----------
    number
        The sender's own; None of a mailman's.
    kind
        The reference's `task_name`.
    sender
        CoralNet or mailman, which both keep a record of it; None of anybody else.
    collected_at, missing_since
        When CoralNet took the answer, or first found the job to be missing.
    """

    number: int | None
    kind: str
    sender: Literal["CoralNet", "mailman"] | None
    collected_at: datetime | None = None
    missing_since: datetime | None = None


class InLine(BaseModel):
    """Where its message waits.

    Attributes
    ----------
    priority
        Kombu's number: the lowest goes first.
    ahead
        Messages of this queue that go first.
    """

    priority: int
    ahead: int


class Held(BaseModel):
    """Which worker has its message, and since when; the worker is empty if it does not say."""

    worker: str
    since: datetime | None


class Tries(BaseModel):
    """Tries because of transient errors.

    Attributes
    ----------
    number
        Of the try that waits or runs, from 1.
    allowed
        All together.
    not_before
        When it may begin.
    """

    number: int
    allowed: int
    not_before: datetime | None = None


class Start(BaseModel):
    """One time that it was begun and not answered."""

    at: datetime
    worker: str


class Lock(BaseModel):
    """Who runs it, and in how many seconds the lock lapses unless it is renewed."""

    worker: str
    lapses_in_s: float


class Stage(BaseModel):
    """The parts of one stage of a batch.

    Attributes
    ----------
    done, failed
        The failed ones are among those that are done.
    total
        None where the stage does not say so any more.
    """

    stage: str
    done: int
    failed: int
    total: int | None


class GivenUp(BaseModel):
    """Its dead letter."""

    at: datetime
    starts: int
    last_loss: str | None


class Refused(BaseModel):
    """Its message, which a worker refused, and which is kept.

    Attributes
    ----------
    ref
        By which `spacer-tasks refused` knows it.
    reason
        One word; `why` says it in words.
    """

    ref: str
    reason: str
    why: str
    at: datetime
    worker: str


class Answer(BaseModel):
    """Its stored answer, also where that is an error.

    Attributes
    ----------
    location
        As a URI.
    stored
        None where it is not known; `note` says why.
    summary
        The answer without what grows with the work.
    """

    location: str | None
    stored: bool | None
    note: str | None = None
    finished_at: datetime | None = None
    worker: str | None = None
    summary: dict[str, Any] = {}


class JobStory(BaseModel):
    """One task, now.

    Attributes
    ----------
    meaning
        Of the state, in words.
    next
        What to do.
    task
        The name of the Celery task.
    part_of
        The batch's id, of a part.
    queue
        Where it was sent, or where such tasks go.
    workers
        How many workers of that queue's pool were heard of lately.
    last_loss
        What ended its process the last time.
    error
        What it failed of, also if it is tried again.
    """

    task_id: str
    state: JobState
    meaning: str = ""
    next: str = ""
    task: str | None = None
    job: Job | None = None
    part_of: str | None = None
    queue: str | None = None
    sent_at: datetime | None = None
    waiting: InLine | None = None
    taken: Held | None = None
    workers: int | None = None
    tries: Tries | None = None
    starts: list[Start] = []
    lock: Lock | None = None
    last_loss: str | None = None
    progress: dict[str, Any] = {}
    parts: list[Stage] = []
    cancelled_at: datetime | None = None
    answer: Answer
    error: TaskError | None = None
    given_up: GivenUp | None = None
    refused: Refused | None = None
