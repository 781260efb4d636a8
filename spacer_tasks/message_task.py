"""A Celery task whose argument is a message and whose full answer is kept under the prefix.

Sending: a message object or its dict; over 64 KiB it is stored and its location is sent. Running:
a repeat of finished work is answered from what is stored; transient errors are retried; any other
error is stored and reported.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from celery import Task
from celery.exceptions import TaskPredicate
from celery.utils import uuid
from celery.utils.time import get_exponential_backoff_interval

from spacer_tasks import results, storage
from spacer_tasks.broker_errors import redis_is_away, unavailable_broker
from spacer_tasks.callbacks import with_queues
from spacer_tasks.config import get_settings
from spacer_tasks.data_classes import DataLocation
from spacer_tasks.exceptions import InputError, MessageError, TransientError
from spacer_tasks.job_reading import read_object
from spacer_tasks.messages import Message
from spacer_tasks.parsing import parse
from spacer_tasks.results import StoredAnswer, TaskError
from spacer_tasks.storage.policy import permit_all

if TYPE_CHECKING:
    from celery.result import AsyncResult

    CeleryTask = Task[..., Any]
else:
    # generic in its type stubs only
    CeleryTask = Task

logger = logging.getLogger(__name__)

#: bytes of JSON; a larger message goes through storage, so that Redis holds only small ones
INLINE_BYTES = 64 * 1024
#: header of a message: when it was sent, in seconds since 1970
SENT_AT = "sent_at"
#: beside the location of a stored message: the SHA-256 of its content
SHA256 = "message_sha256"
#: seconds; the longest wait between two tries, well under every pool's visibility timeout
RETRY_BACKOFF_MAX = 60


class MessageTask(CeleryTask):
    """Base of the tasks that take one message. `message_class` says which."""

    abstract = True
    message_class: ClassVar[type[Message]]
    #: what Celery logs as a line, not as a crash with its traceback
    throws = (InputError, TransientError)
    #: Celery would check arguments against `run`, but they are what `__call__` takes
    typing = False
    #: tries after the first; with the backoff below they span about a minute
    max_retries = 6

    def apply_async(  # type: ignore[override]  # Celery's options go on to it unread
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Send the task. The first argument is a message, or its dict.

        Raises
        ------
        MessageError, RowColumnInvalidError
            The message is malformed; the text names the field.
        StorageError, StorageUnavailableError
            The message is over 64 KiB and could not be stored.
        BrokerUnavailableError
            Redis is away; the task was not sent.
        """
        task_id = task_id or uuid()
        message, *rest = tuple(args or ()) or (dict(kwargs or {}).pop("message"),)
        packed = self._packed(message, task_id)
        for name in ("link", "link_error"):
            if options.get(name):
                options[name] = with_queues(options[name])
        # so that who looks at a queue can tell how long its oldest message has waited
        options["headers"] = {**(options.get("headers") or {}), SENT_AT: time.time()}
        with unavailable_broker(self.app):
            return super().apply_async((packed, *rest), None, task_id=task_id, **options)

    def _packed(self, message: Message | Mapping[str, Any], task_id: str) -> dict[str, Any]:
        if isinstance(message, Mapping) and "message_loc" in message:
            return dict(message)
        wire = self.checked(message)
        data = json.dumps(wire).encode()
        if len(data) <= INLINE_BYTES:
            return wire
        location = results.message_location(task_id)
        storage.store(location, data)
        return pointer_to(location, data)

    @property
    def task_id(self) -> str:
        """The id of the task that runs."""
        return str(self.request.id)

    def checked(self, message: Message | Mapping[str, Any]) -> dict[str, Any]:
        """The message as JSON-ready data, after a check."""
        return parse(self.message_class, message).to_wire()

    def unpacked(self, packed: dict[str, Any]) -> dict[str, Any]:
        """The JSON data that was sent, fetched from storage if it went that way."""
        if not isinstance(packed, dict):
            raise MessageError(f"the message is a {type(packed).__name__}, expected an object")
        if "message_loc" not in packed:
            return packed
        location = parse(DataLocation, packed["message_loc"])
        data = storage.load(location)
        expected = packed.get(SHA256)
        if expected is None and get_settings().require_signed:
            raise MessageError(f"{location}: a stored message without its hash, and so not signed")
        if expected not in (None, hashlib.sha256(data).hexdigest()):
            raise MessageError(f"{location}: another message is there than was sent")
        return read_object(data, str(location))

    def received(self, packed: dict[str, Any]) -> Any:
        """What `run` is given: the message, checked, and its locations too before any work."""
        message = parse(self.message_class, self.unpacked(packed))
        permit_all(message)
        return message

    def perform(self, packed: dict[str, Any], *extra: Any) -> StoredAnswer:
        """Run the task on a message and keep what it came to, also when that is an error.

        `extra` is handed to `run` after the message.

        Raises
        ------
        celery.exceptions.TaskPredicate
            Retry after a transient error: the task will run again. Ignore after `replace`:
            another task goes on under this one's id.
        """
        task_id = self.task_id
        try:
            stored = results.find_answer(task_id)
            if stored is not None:
                logger.info("%s was finished before: answered from what is stored", task_id)
                return stored
            answer = self.run(self.received(packed), *extra).to_wire()
            return self._kept(answer=answer)
        except TaskPredicate:
            raise
        except TransientError as error:
            self._retry_or_give_up(error)
            return self._kept(error=TaskError.of(error))
        except Exception as error:  # noqa: BLE001 -- the boundary: a task ends in an answer
            logger.warning("%s failed: %s: %s", task_id, type(error).__name__, error)
            return self._kept(error=TaskError.of(error))

    def _retry_or_give_up(self, error: TransientError) -> None:
        retries = self.request.retries
        if retries < self.max_retries:
            wait = get_exponential_backoff_interval(
                factor=1, retries=retries, maximum=RETRY_BACKOFF_MAX, full_jitter=True
            )
            raise self.retry(exc=error, countdown=wait)

    def _kept(
        self, answer: dict[str, Any] | None = None, error: TaskError | None = None
    ) -> StoredAnswer:
        return results.store_answer(
            self.task_id, self.name, self.request.hostname, answer=answer, error=error
        )

    def report_progress(self, **fields: Any) -> None:
        """Tell callers (as the state PROGRESS with `fields`) and Flower how far the task is."""
        report_progress(self, self.task_id, fields)


def pointer_to(location: DataLocation, data: bytes) -> dict[str, Any]:
    """What is sent instead of a message that was stored: where it is, and its hash, so that a
    signature is one of its content too.
    """
    return {"message_loc": location.model_dump(), SHA256: hashlib.sha256(data).hexdigest()}


class OperationTask(MessageTask):
    """A task that a caller waits for: its result is the small answer, its failure the error."""

    abstract = True

    def __call__(self, message: dict[str, Any]) -> dict[str, Any]:
        stored = self.perform(message)
        if stored.error is not None:
            raise stored.error.as_exception()
        return stored.small()


def report_progress(task: CeleryTask, task_id: str, fields: dict[str, Any]) -> None:
    """Set the state PROGRESS on a task (this one, or the batch it belongs to).

    Flower learns it from an event; what it shows as the result meanwhile is the progress.
    """
    shown = ", ".join(f"{name} {value}" for name, value in fields.items())
    with progress_only(task_id):
        task.backend.store_result(task_id, fields, "PROGRESS")
        with task.app.events.default_dispatcher(hostname=task.request.hostname) as dispatcher:
            dispatcher.send("task-progress", uuid=task_id, result=shown)


@contextmanager
def progress_only(task_id: str) -> Iterator[None]:
    """A Redis that is away for a moment costs a line of progress, never the work."""
    try:
        yield
    except Exception as error:
        if not redis_is_away(error):
            raise
        logger.warning("%s: progress not reported: %s", task_id, error)
