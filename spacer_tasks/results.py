"""Answers under the results prefix: one object a task, found again when Redis was wiped.

Redis carries small results only: where the full answer is, and a summary of it.
"""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from spacer_tasks import exceptions, storage
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.data_classes.task_ids import MAX_PART_LENGTH, checked_id
from spacer_tasks.exceptions import (
    AnswerDamagedError,
    Kind,
    ObjectNotFoundError,
    SpacerError,
    StorageUnavailableError,
)
from spacer_tasks.printable import LISTED

if TYPE_CHECKING:
    from celery.result import AsyncResult

#: characters of an id that a file is named for; of a longer one its beginning and a hash. File
#: systems take 255 bytes, and while it is written a file's name has 15 more than the id
LONGEST_FILE, BEGINNING = 240, 150
#: fields of an answer that grow with the work; a summary replaces each by its length
GROWING = ("scores", "original_job", "results", "candidates", "incomplete_images")


class TaskError(BaseModel):
    """Why a task failed. `traceback` only where the error is a bug."""

    kind: Kind
    type: str
    message: str
    traceback: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> TaskError:
        """The description of an exception."""
        kind = error.kind if isinstance(error, SpacerError) else "bug"
        trace = "".join(traceback.format_exception(error)) if kind == "bug" else None
        return cls(
            kind=kind,
            type=f"{type(error).__module__}.{type(error).__qualname__}",
            message=str(error) or type(error).__qualname__,
            traceback=trace,
        )

    def as_exception(self) -> SpacerError:
        """The error as an exception of this package's class where it is one of ours."""
        module, _, name = self.type.rpartition(".")
        cls = getattr(exceptions, name, None) if module == exceptions.__name__ else None
        if isinstance(cls, type) and issubclass(cls, SpacerError):
            return cls(self.message)
        traced = (self.traceback or "").splitlines()
        return SpacerError(LISTED.join([f"{self.type}: {self.message}", *traced]))


class StoredAnswer(BaseModel):
    """What one task came to: an answer or an error."""

    task_id: str
    task_name: str
    finished_at: datetime
    worker: str | None
    answer: dict[str, Any] | None = None
    error: TaskError | None = None

    @property
    def ok(self) -> bool:
        """Whether there is an answer."""
        return self.error is None

    @property
    def state(self) -> JobState:
        """What became of the task."""
        if self.error is not None:
            return JobState.of_error(self.error.type)
        return JobState.of_answer(self.answer or {})

    def small(self) -> dict[str, Any]:
        """The result that goes through Redis: where the full answer is, and a summary of it."""
        summary = dict(self.answer or {})
        for name in GROWING:
            if name in summary:
                # None where a job failed
                summary[f"{name}_count"] = len(summary.pop(name) or ())
        return {
            "task_id": self.task_id,
            "answer_loc": answer_location(self.task_id).model_dump(),
            "summary": summary,
        }


def results_location() -> DataLocation:
    """The results prefix as a location.

    Raises
    ------
    ConfigError
        The setting is missing.
    """
    return DataLocation.parse(get_settings().required_results_prefix)


def answer_location(task_id: str) -> DataLocation:
    """Where the full answer of a task is, or will be.

    Raises
    ------
    MessageError
        This cannot be a task's id. As the two below.
    """
    return _of_task("answers", task_id, ".json")


def message_location(task_id: str) -> DataLocation:
    """Where a task's message is, if it was too large for Redis."""
    return _of_task("messages", task_id, ".json")


def checkpoints_location(task_id: str) -> DataLocation:
    """Below what a task keeps the checkpoints of its trainings while it runs."""
    return _of_task("checkpoints", task_id)


def _of_task(folder: str, task_id: str, suffix: str = "") -> DataLocation:
    prefix = results_location()
    name = checked_id(task_id, MAX_PART_LENGTH)
    if prefix.storage_type == "filesystem" and len(name) > LONGEST_FILE:
        # no id has a tilde, so this is the name of no other
        name = f"{name[:BEGINNING]}~{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    return prefix.joined(folder, f"{name}{suffix}")


def store_answer(
    task_id: str,
    task_name: str,
    worker: str | None,
    *,
    answer: dict[str, Any] | None = None,
    error: TaskError | None = None,
) -> StoredAnswer:
    """Keep an answer or an error under the results prefix, unless there is one: the first stays.

    Returns what is kept. Raises as `storage.store`.
    """
    stored = StoredAnswer(
        task_id=task_id,
        task_name=task_name,
        finished_at=datetime.now(timezone.utc),
        worker=worker,
        answer=answer,
        error=error,
    )
    location = answer_location(task_id)
    data = stored.model_dump_json().encode()
    if storage.store_once(location, data):
        return stored
    # this task was run twice at the same time, or cancelled: callers may have seen the other answer
    try:
        return _read(location)
    except ObjectNotFoundError as error:
        raise StorageUnavailableError(f"{location}: there already, but not to be read") from error
    except AnswerDamagedError:
        storage.store(location, data)
        return stored


def find_answer(task_id: str) -> StoredAnswer | None:
    """The stored answer of a task, or None while there is none.

    Raises
    ------
    StorageError
        The results prefix cannot be read; `AnswerDamagedError`: the object there is no answer.
    StorageUnavailableError
        The storage did not answer.
    """
    return read_answer(answer_location(task_id))


def read_answer(location: DataLocation) -> StoredAnswer | None:
    """As `find_answer`, for the location of an answer."""
    try:
        return _read(location)
    except ObjectNotFoundError:
        return None


def load_answer(result: AsyncResult[Any] | Mapping[str, Any] | str) -> dict[str, Any]:
    """The full answer of a finished task.

    Parameters
    ----------
    result
        The task's result (what `.get()` returns and what a `link` callback is given), its
        `AsyncResult`, or its id.

    Raises
    ------
    SpacerError
        The task failed: the error that it ended with.
    ObjectNotFoundError
        There is no answer (yet) under the results prefix.
    """
    if isinstance(result, Mapping):
        # never where the result says that it is: who can write results could name any place
        task_id = str(result["task_id"])
    else:
        task_id = result if isinstance(result, str) else str(result.id)
    stored = _read(answer_location(task_id))
    if stored.error is not None:
        raise stored.error.as_exception()
    return stored.answer or {}


def _read(location: DataLocation) -> StoredAnswer:
    data = storage.load(location)
    try:
        return StoredAnswer.model_validate(json.loads(data))
    # nesting without end is a RecursionError
    except (ValueError, ValidationError, RecursionError) as error:
        raise AnswerDamagedError(f"{location}: not a stored answer ({error})") from error
