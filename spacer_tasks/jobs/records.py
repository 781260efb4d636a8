"""What a client remembers of the jobs that it sent: which, when, where to, and what was asked.

A record is saved before its job is sent, so that no job exists without one, and leaves the waiting
ones in the moment in which its answer is handed out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Protocol

from pydantic import BaseModel

from spacer_tasks import storage
from spacer_tasks.exceptions import ObjectNotFoundError, StorageError
from spacer_tasks.messages.parsing import JsonDict
from spacer_tasks.results import message_location

#: seconds that the record of a collected job is kept, so that its answer can be handed out again
KEEP_COLLECTED_S = 7 * 86400


class JobRecord(BaseModel):
    """One job that was sent.

    Attributes
    ----------
    task_id
        The Celery task's id, by which its answer is found under the results prefix.
    job_id
        The client's own number of the job.
    queue
        Where it was sent.
    submitted_at
        Seconds since 1970, on the client's clock; a large job's, when all of it was stored.
    """

    task_id: str
    job_id: int
    task_name: str
    queue: str
    submitted_at: float

    def __str__(self) -> str:
        return f"job {self.job_id} ({self.task_name}, task {self.task_id})"


class JobRecords(Protocol):
    """Where records are kept. Each method is one round trip to the store, or a few, however many
    jobs it is for.
    """

    def save(self, record: JobRecord, job: bytes | None) -> None:
        """Keep a record, and the JSON of its job, or of its outline; again, if there is one."""

    def remove(self, task_id: str) -> None:
        """Forget a job that could not be sent."""

    def waiting(self) -> Sequence[JobRecord]:
        """What is not collected, oldest first."""

    def claim(self, task_ids: Sequence[str]) -> set[str]:
        """Mark jobs as collected; those that this call marked, and no other call before."""

    def put_back(self, job_ids: Iterable[int]) -> list[JobRecord]:
        """Make collected jobs waiting ones again; those that were found."""

    def missing(self, task_ids: Sequence[str], seen: Sequence[str]) -> dict[str, float]:
        """Remember that jobs are nowhere to be found, and that others are there.

        Since when each of the first has been missing, in seconds since 1970.
        """

    def jobs(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        """The JSON of the jobs that were saved with it."""


#: the one key of what is saved of a job that goes through storage
OUTLINE = "outline"


def outline(job: JsonDict) -> bytes:
    """What to save with the record of a job that is too large for it.

    The job without its labels and all its points but one: still a job that the reference reads,
    which says whose it is if the whole of it cannot be had any more.
    """
    tasks = [
        {
            **task,
            **({"labels": {name: {} for name in task["labels"]}} if "labels" in task else {}),
            **({"rowcols": task["rowcols"][:1]} if "rowcols" in task else {}),
        }
        for task in job["tasks"]
    ]
    return json.dumps({OUTLINE: {**job, "tasks": tasks}}).encode()


def original_job(saved: bytes | None, task_id: str) -> JsonDict:
    """The job as it was sent, or its outline if the whole of it is gone.

    Parameters
    ----------
    saved
        What was saved with its record.
    task_id
        By which a large one is found under the results prefix.

    Raises
    ------
    StorageError, StorageUnavailableError
        It went through storage and cannot be read there.
    """
    job: JsonDict = json.loads(saved) if saved else {}
    if saved and set(job) != {OUTLINE}:
        return job
    try:
        whole: JsonDict = json.loads(storage.load(message_location(task_id)))
    except (ObjectNotFoundError, ValueError) as error:
        if not job:
            raise StorageError(f"{message_location(task_id)}: {error}") from error
        rest: JsonDict = job[OUTLINE]
        return rest
    return whole
