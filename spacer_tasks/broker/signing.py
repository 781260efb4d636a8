"""Signed messages: a worker that requires them does only what a holder of a key has sent.

Who can write to Redis can otherwise have the workers do anything that a message can ask for. A
signature is an HMAC-SHA256 over what is to be done: the body (arguments, callbacks, chord) and the
headers that say which task, under which id, when and for how long. It goes along as one more
header, which workers that do not know it pass over.

A message that was caught can be sent again as it is. While its answer is there, that answer is
given again; and after `SPACER_SIGNATURE_MAX_AGE_S` the message is no longer taken.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery.app.task import Task
from kombu.utils import json

from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError

if TYPE_CHECKING:
    from celery.worker.consumer import Consumer
    from kombu import Message

logger = logging.getLogger(__name__)

#: header that holds the signature: version, seconds since 1970, HMAC in hex
HEADER = "spacer_signature"
VERSION = "1"
#: headers that say what is done; others only describe
SIGNED = (
    "task", "id", "root_id", "parent_id", "group", "group_index", "retries", "eta", "expires",
    "timelimit", "shadow", "ignore_result", "replaced_task_nesting", "stamped_headers", "stamps",
)  # fmt: skip
#: commands of Celery's that look at a worker's memory
HEAVY = {"objgraph", "memsample", "memdump"}
#: tasks of this package; others are a site's own, which our workers only pass on
_OURS = "spacer_tasks."


def sign(sender: str, body: Any, headers: dict[str, Any], **_: object) -> None:
    """Put a signature into the headers of a message that is about to be sent.

    `app` connects it to what Celery sends: for callers, and for what workers send, which is
    retries, callbacks and the parts of a batch.
    """
    keys = get_settings().signing_keys
    if keys and sender.startswith(_OURS):
        at = str(int(time.time()))
        headers[HEADER] = f"{VERSION}:{at}:{_mac(keys[0].get_secret_value(), at, body, headers)}"


def fault_of(body: Any, headers: Mapping[str, Any] | None) -> str | None:
    """Why a message that was received is not taken, or None where its signature is good."""
    settings = get_settings()
    found = (headers or {}).get(HEADER)
    if headers is None or not isinstance(found, str):
        return "it has no signature"
    version, _, rest = found.partition(":")
    at, _, mac = rest.partition(":")
    if version != VERSION or not at.isdecimal() or len(at) > 12 or not mac.isascii():
        return "its signature has another form"
    good = False
    for key in settings.signing_keys:
        good |= hmac.compare_digest(_mac(key.get_secret_value(), at, body, headers), mac)
    if not good:
        return "its signature is by none of the keys, or it was changed on the way"
    if time.time() - int(at) > settings.signature_max_age_s:
        return "its signature is older than SPACER_SIGNATURE_MAX_AGE_S"
    return None


def _mac(key: str, at: str, body: Any, headers: Mapping[str, Any]) -> str:
    what = [VERSION, at, {name: headers.get(name) for name in SIGNED}, body]
    # twice: what is sent and what was received are the same only after a way through JSON
    text = json.dumps(json.loads(json.dumps(what)), sort_keys=True)
    return hmac.new(key.encode(), text.encode(), "sha256").hexdigest()


def require_signatures() -> None:
    """Let this worker process take signed messages only, of whatever task.

    Celery's own tasks too: `celery.map` runs any other task.

    Raises
    ------
    ConfigError
        There are no keys to check with.
    """
    if not get_settings().signing_keys:
        raise ConfigError(
            "SPACER_REQUIRE_SIGNED is set and SPACER_SIGNING_KEYS is not: no message could be taken"
        )
    start_strategy = Task.start_strategy

    def start_checked(self: Task[Any, Any], app: Any, consumer: Consumer, **options: Any) -> Any:
        handle = start_strategy(self, app, consumer, **options)
        errors: Any = consumer.connection_errors  # type: ignore[attr-defined]  # not in the stubs

        def checked(message: Message, payload: Any, ack: Any, reject: Any, *rest: Any) -> Any:
            fault = _fault_of_message(message, payload)
            if fault is None:
                return handle(message, payload, ack, reject, *rest)
            # no answer under the id that it claims: it may be that of another's task
            logger.error("a message for %s was thrown away: %s", str(self.name)[:100], fault)
            reject(logger, errors, False)
            return None

        return checked

    Task.start_strategy = start_checked  # type: ignore[method-assign]  # Celery has no hook here
    _refuse_unknown_tasks()
    _listen_to_no_orders()


def _refuse_unknown_tasks() -> None:
    """Give no answer under the id that an unsigned message for an unknown task claims."""
    from celery.worker.consumer import Consumer

    answer_unknown = Consumer.on_unknown_task

    def refuse(self: Any, body: Any, message: Message, exc: Exception) -> None:
        fault = _fault_of_message(message, body)
        if fault is None:
            answer_unknown(self, body, message, exc)
            return
        logger.error("a message for a task that is not known was thrown away: %s", fault)
        message.reject_log_error(logger, self.connection_errors)

    Consumer.on_unknown_task = refuse  # type: ignore[method-assign]  # Celery has no hook here


def _listen_to_no_orders() -> None:
    """Forget the commands that change a worker, for they carry no signature.

    Those that only look at it stay, without the ones that write its memory down.
    """
    from celery.worker.control import Panel

    for name, about in list(Panel.meta.items()):
        if about.type != "inspect" or name in HEAVY:
            Panel.data.pop(name, None)


def _fault_of_message(message: Message, payload: Any) -> str | None:
    if payload is not None:
        return "it has no signature"
    try:
        return fault_of(message.payload, message.headers)
    # whatever is in it: it is a stranger's
    except Exception as error:  # noqa: BLE001
        return f"it cannot be read ({type(error).__name__})"
