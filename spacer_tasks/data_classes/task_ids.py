"""What a task's id may be: it names keys in Redis and objects under the results prefix."""

from __future__ import annotations

import re

from spacer_tasks.exceptions import MessageError

#: characters; what a caller may give
MAX_LENGTH = 255
#: of the parts of a batch, whose ids begin with that of the batch
MAX_PART_LENGTH = MAX_LENGTH + 45
#: what is in an id that an error quotes
_SHOWN = 60
_ALLOWED = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def fault_of_id(task_id: object, longest: int = MAX_LENGTH) -> str | None:
    """Why this cannot be a task's id, or None where it can."""
    if not isinstance(task_id, str):
        return f"its id is a {type(task_id).__name__}, expected text"
    if not 1 <= len(task_id) <= longest:
        return f"its id has {len(task_id)} characters, expected 1 to {longest}"
    if not _ALLOWED.fullmatch(task_id) or task_id in (".", ".."):
        return (
            f"its id is {task_id[:_SHOWN]!r}, expected letters, digits, '-', '_' and '.' only, and"
            " not '.' or '..'"
        )
    return None


def checked_id(task_id: object, longest: int = MAX_LENGTH) -> str:
    """An id that may name keys and objects.

    Raises
    ------
    MessageError
        It has other characters than those of an id, or too many.
    """
    if fault := fault_of_id(task_id, longest):
        raise MessageError(f"a task cannot be sent or found by this id: {fault}")
    return str(task_id)
