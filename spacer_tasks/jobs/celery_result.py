"""What Celery keeps of a task in Redis: its state, and its result or error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from spacer_tasks.broker.signing import fault_of_result
from spacer_tasks.data_classes.job_state import PROGRESS, JobState


@dataclass(frozen=True)
class CeleryResult:
    """One task's result in Redis.

    Attributes
    ----------
    answer
        Where the task has its answer: the small result.
    progress
        What the task reported, where it runs.
    finished_at
        Seconds since 1970, on the worker's clock; 0 where it is not known or not finished.
    error_type, error_text
        What it failed of, also where it is tried again.
    """

    state: JobState
    answer: dict[str, Any]
    progress: dict[str, Any]
    finished_at: float = 0
    error_type: str = ""
    error_text: str = ""

    @classmethod
    def read(cls, task_id: str, text: bytes) -> CeleryResult:
        """As it is stored under the key of a task.

        Raises
        ------
        ValueError, TypeError, LookupError
            It is not one, is another task's, or is not signed where it must be.
        """
        found: dict[str, Any] = json.loads(text)
        if fault := fault_of_result(task_id, found):
            raise ValueError(fault)
        word, result = str(found["status"]), found.get("result")
        result = result if isinstance(result, dict) else {}
        state = JobState.of_celery(word)
        if state.answered:
            state = JobState.of_answer(result.get("summary"))
            return cls(state, result, {}, _seconds(found.get("date_done")))
        if state.finished or state is JobState.RETRYING:
            error_type, error_text = _reason(word, result)
            state = JobState.of_celery(word, error_type)
            finished_at = _seconds(found.get("date_done")) if state.finished else 0
            return cls(state, {}, {}, finished_at, error_type, error_text)
        return cls(state, {}, result if word == PROGRESS else {})


def _seconds(date: object) -> float:
    try:
        found = datetime.fromisoformat(str(date))
    except ValueError:
        return 0
    # Celery before 5.6 writes UTC and does not say so
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def _reason(word: str, result: dict[str, Any]) -> tuple[str, str]:
    revoked = JobState.of_celery(word) is JobState.CANCELLED
    name = result.get("exc_type") or ("TaskRevokedError" if revoked else "TaskError")
    text = result.get("exc_message") or f"the task was {word.lower()}"
    text = " ".join(map(str, text)) if isinstance(text, list) else str(text)
    return f"{result.get('exc_module') or 'celery.exceptions'}.{name}", text
