"""What the results prefix knows of one task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spacer_tasks import results, storage
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import AnswerDamagedError, SpacerError
from spacer_tasks.execution.batch import batch_location
from spacer_tasks.results import StoredAnswer


@dataclass(frozen=True)
class Kept:
    """What is there.

    Attributes
    ----------
    location
        Where the answer is, or would be; None where there is no results prefix.
    damaged, unreadable
        Why the answer is not one, or cannot be read now.
    """

    location: str | None = None
    answer: StoredAnswer | None = None
    damaged: AnswerDamagedError | None = None
    unreadable: SpacerError | None = None


def look_in_storage(task_id: str) -> Kept:
    """The answer of a task; it does not raise where that cannot be read."""
    if not get_settings().results_prefix:
        return Kept()
    location = results.answer_location(task_id)
    try:
        return Kept(location.uri, results.read_answer(location))
    except AnswerDamagedError as error:
        return Kept(location.uri, damaged=error)
    except SpacerError as error:
        return Kept(location.uri, unreadable=error)


def was_sent(task_id: str, stages: Iterable[str]) -> bool:
    """Whether a large message of the task, or the plan of a stage if it is a batch, is stored.

    Raises
    ------
    StorageError, StorageUnavailableError
        The results prefix cannot be read.
    """
    if not get_settings().results_prefix:
        return False
    places = [results.message_location(task_id)]
    places += [batch_location(task_id, f"{stage}.json") for stage in stages]
    return any(storage.exists(place) for place in places)
