"""What is known of a task: from Redis, or from its stored answer when Redis forgot it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spacer_tasks import results
from spacer_tasks.app import app
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.job_state import PROGRESS, JobState
from spacer_tasks.exceptions import SpacerError
from spacer_tasks.results import TaskError


@dataclass(frozen=True)
class TaskState:
    """One task, now.

    Attributes
    ----------
    state
        UNKNOWN where Redis has no result of it: not begun, or forgotten, or never sent.
    progress
        The fields that the task reported, where it runs.
    answer
        The summary of its answer, where it has one.
    error
        Why it failed, where it did.
    """

    task_id: str
    state: JobState
    progress: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] | None = None
    error: TaskError | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.state.finished


def in_redis(task_id: str) -> TaskState:
    """What Redis knows. Raises what the Redis client raises."""
    meta = app.backend.get_task_meta(task_id)
    word, value = str(meta["status"]), meta.get("result")
    state = JobState.of_celery(word)
    if word == PROGRESS and isinstance(value, dict):
        return TaskState(task_id, state, progress=value)
    if state.answered:
        value = value if isinstance(value, dict) else {"result": value}
        answer = value.get("summary", value)
        return TaskState(task_id, JobState.of_answer(answer), answer=answer)
    if state.finished:
        error = TaskError.of(value if isinstance(value, BaseException) else SpacerError(str(value)))
        return TaskState(task_id, JobState.of_celery(word, error.type), error=error)
    return TaskState(task_id, state)


def in_storage(task_id: str) -> TaskState | None:
    """What the stored answer says; None where there is none, or no place for answers.

    Raises
    ------
    StorageError, StorageUnavailableError
        The results prefix cannot be read.
    """
    if not get_settings().results_prefix:
        return None
    stored = results.find_answer(task_id)
    if stored is None:
        return None
    if stored.error is not None:
        return TaskState(task_id, stored.state, error=stored.error)
    return TaskState(task_id, stored.state, answer=stored.small()["summary"])


def known_state(task_id: str) -> TaskState:
    """What Redis knows, or else what is stored. Raises as both."""
    state = in_redis(task_id)
    if state.state is JobState.UNKNOWN:
        return in_storage(task_id) or state
    return state


Stage = tuple[str, int, int]


def stage_of(progress: dict[str, Any]) -> Stage | None:
    """What a task does now, how much of it is done, and of how much; None if it did not say."""
    stage = str(progress.get("stage", "working"))
    for done, total in (("done", "total"), ("images_done", "images_total"), ("epoch", "epochs")):
        if isinstance(progress.get(done), int) and isinstance(progress.get(total), int):
            return stage, progress[done], progress[total]
    return None


def note_of(progress: dict[str, Any]) -> str:
    """What else a running task reported."""
    accuracy = progress.get("ref_acc")
    return f"ref. accuracy {accuracy:.1%}" if isinstance(accuracy, float) else ""
