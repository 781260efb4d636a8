"""Jobs as they come from outside: the JSON of a reference `JobMsg`, or of where one is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import MessageError
from spacer_tasks.messages.parsing import JsonDict, parse, read_object
from spacer_tasks.messages.tasks import MESSAGE_CLASSES

#: lists and objects inside each other; the deepest job of the reference has 7, and JSON encoders
#: and decoders on a job's way give up somewhere below 1000
MAX_DEPTH = 100


def load_job(location: DataLocation) -> JsonDict:
    """The JSON object at a location; `process_job` tells whether it is a job.

    Raises
    ------
    MessageError
        What is there is not a JSON object, or is nested too deep.
    StorageError, StorageUnavailableError
        It cannot be read.
    """
    return _not_too_deep(read_object(storage.load(location), f"{location}"), f"{location}")


def read_job(body: str, load: Callable[[DataLocation], JsonDict] = load_job) -> JsonDict:
    """The job in a message, or at the location on S3 that the message is the JSON of.

    What is inside its tasks is not looked at: who sent a job is told by its answer.

    Parameters
    ----------
    load
        What reads the location.

    Raises
    ------
    MessageError
        It is neither a job nor a location of one on S3, or is nested too deep.
    StorageError, StorageUnavailableError
        The location cannot be read.
    """
    what = "the message"
    job = _not_too_deep(read_object(body, what), what)
    if "storage_type" in job:
        location = parse(DataLocation, job)
        # a file would be one of the reader's machine; a URL may be of a server that never answers
        if location.storage_type != "s3":
            raise MessageError(
                f"{what} is a location of the storage_type {location.storage_type!r}, expected 's3'"
            )
        job, what = load(location), f"{location}"
    if "message_loc" in job:
        # a worker would read the message there, wherever that is
        raise MessageError(f"{what} has the field message_loc, which is for workers alone")
    # as text: what is a list cannot be looked up
    known = str(job.get("task_name")) in MESSAGE_CLASSES
    if not known or not isinstance(job.get("tasks"), list):
        raise MessageError(
            f"{what} is no job: expected a list of tasks and a task_name, one of"
            f" {', '.join(MESSAGE_CLASSES)}; found the fields {', '.join(sorted(job))[:200]}"
            f" and the task_name {str(job.get('task_name'))[:80]!r}"
        )
    return job


def _not_too_deep(job: JsonDict, what: str) -> JsonDict:
    level: list[Any] = [job]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for each in level
            for item in (each.values() if isinstance(each, dict) else each)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return job
    raise MessageError(f"{what} is nested deeper than {MAX_DEPTH} lists and objects")
