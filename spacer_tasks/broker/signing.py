"""Signed messages: a worker that requires them does only what a holder of a key has sent.

Who can write to Redis can otherwise have the workers do anything that a message can ask for. A
signature is an HMAC-SHA256 over what is to be done: the body (arguments, callbacks, chord) and the
headers that say which task, under which id, when and for how long. It goes along as one more
header, which workers that do not know it pass over.

A message that was caught can be sent again as it is. While its answer is there, that answer is
given again; and after `SPACER_SIGNATURE_MAX_AGE_S` the message is no longer taken. What is not
taken is kept (`refused.py`).

What becomes of a task is signed in the same way, with its id: callers that require it take no
state and no result of anybody else's.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from typing import Any

from kombu.utils import json
from pydantic import SecretStr

from spacer_tasks.broker.contract import WAITS_AT_MOST_S
from spacer_tasks.broker.refused import Reason
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError

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


def fault_of(body: Any, headers: Mapping[str, Any] | None) -> tuple[Reason, str] | None:
    """Why a message that was received is not taken, or None where its signature is good."""
    settings = get_settings()
    found = (headers or {}).get(HEADER)
    if headers is None or not isinstance(found, str):
        return Reason.UNSIGNED, "it has no signature"
    version, _, rest = found.partition(":")
    at, _, mac = rest.partition(":")
    if version != VERSION or not at.isdecimal() or len(at) > 12 or not mac.isascii():
        return Reason.SIGNATURE, "its signature has another form"
    good = False
    for key in settings.signing_keys:
        good |= hmac.compare_digest(_mac(key.get_secret_value(), at, body, headers), mac)
    if not good:
        why = "its signature is by none of the keys, or it was changed on the way"
        return Reason.SIGNATURE, why
    longest = settings.signature_max_age_s
    if headers.get("group"):
        # a part of a batch: it is signed when the batch begins, and counts for as long as that runs
        longest = max(longest, WAITS_AT_MOST_S)
    if time.time() - int(at) > longest:
        return Reason.AGE, "its signature is older than SPACER_SIGNATURE_MAX_AGE_S"
    return None


def sign_result(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a task in Redis, with a signature where there are keys."""
    keys = get_settings().signing_keys
    if not keys:
        return dict(meta)
    at = str(int(time.time()))
    signed = {name: value for name, value in meta.items() if name != HEADER}
    return {**signed, HEADER: f"{VERSION}:{at}:{_result_mac(keys[0], at, signed)}"}


def fault_of_result(task_id: str, meta: Any) -> str | None:
    """Why what Redis has of a task is not taken, or None where it is.

    Parameters
    ----------
    task_id
        The task that was asked for: what is kept under its key may say another.
    meta
        As Celery writes it, read from JSON.
    """
    if not isinstance(meta, Mapping) or not isinstance(meta.get("status"), str):
        return "it is no state of a task"
    if meta.get("task_id") != task_id:
        return "it is of another task"
    settings = get_settings()
    if not settings.require_signed_results:
        return None
    found = meta.get(HEADER)
    if not isinstance(found, str):
        return "it has no signature, and SPACER_REQUIRE_SIGNED_RESULTS asks for one"
    version, _, rest = found.partition(":")
    at, _, mac = rest.partition(":")
    if version != VERSION or not mac.isascii():
        return "its signature has another form"
    signed = {name: value for name, value in meta.items() if name != HEADER}
    good = False
    for key in settings.signing_keys:
        good |= hmac.compare_digest(_result_mac(key, at, signed), mac)
    return None if good else "its signature is by none of the keys, or it was changed"


def _result_mac(key: SecretStr, at: str, meta: Mapping[str, Any]) -> str:
    # the first word tells it from a message's
    return _hmac(key.get_secret_value(), ["result", VERSION, at, meta])


def _mac(key: str, at: str, body: Any, headers: Mapping[str, Any]) -> str:
    return _hmac(key, [VERSION, at, {name: headers.get(name) for name in SIGNED}, body])


def _hmac(key: str, what: Any) -> str:
    # twice: what is sent and what was received are the same only after a way through JSON
    text = json.dumps(json.loads(json.dumps(what)), sort_keys=True)
    return hmac.new(key.encode(), text.encode(), "sha256").hexdigest()


def check_keys() -> None:
    """See that a worker which requires signatures has keys to check them with.

    Raises
    ------
    ConfigError
        There are none.
    """
    if not get_settings().signing_keys:
        raise ConfigError(
            "SPACER_REQUIRE_SIGNED is set and SPACER_SIGNING_KEYS is not: no message could be taken"
        )


def listen_to_no_orders() -> None:
    """Forget the commands that change a worker, for they carry no signature.

    Those that only look at it stay, without the ones that write its memory down.
    """
    from celery.worker.control import Panel

    for name, about in list(Panel.meta.items()):
        if about.type != "inspect" or name in HEAVY:
            Panel.data.pop(name, None)
