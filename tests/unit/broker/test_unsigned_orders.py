"""What a worker that requires signatures does with unknown tasks and orders."""

from __future__ import annotations

import json
import subprocess
import sys

#: a worker's process, with the consumer's own answers written down
TRY = """
import json
from types import SimpleNamespace

from celery.worker import control
from celery.worker.consumer import Consumer

from spacer_tasks.broker import signing

told = []
Consumer.on_unknown_task = lambda self, body, message, exc: told.append("answered")
before = sorted(control.Panel.data)
signing.require_signatures()

class Message:
    def __init__(self, signed):
        self.payload = [[], {}, {}]
        self.headers = {"task": "spacer_tasks.none", "id": "1"}
        if signed:
            signing.sign("spacer_tasks.none", self.payload, self.headers)

    def reject_log_error(self, *_):
        told.append("thrown away")

consumer = SimpleNamespace(connection_errors=())
for signed in (False, True):
    Consumer.on_unknown_task(consumer, None, Message(signed), KeyError("none"))
Consumer.on_unknown_task(consumer, {"task": "none"}, Message(True), KeyError("none"))
print(json.dumps([told, before, sorted(control.Panel.data)]))
"""


def tried() -> tuple[list[str], list[str], list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", TRY],
        capture_output=True,
        text=True,
        check=True,
        env={"SPACER_SIGNING_KEYS": "key-of-the-site-in-this-test", "SPACER_REQUIRE_SIGNED": "1"},
    )
    told, before, after = json.loads(done.stdout.splitlines()[-1])
    return told, before, after


def test_an_unsigned_message_for_an_unknown_task_is_not_answered() -> None:
    assert tried()[0] == ["thrown away", "answered", "thrown away"]


def test_orders_that_carry_no_signature_are_not_listened_to() -> None:
    _, before, after = tried()
    for order in ("shutdown", "pool_shrink", "revoke", "rate_limit", "add_consumer", "memdump"):
        assert order in before
        assert order not in after
    assert {"ping", "active_queues", "query_task"} <= set(after)
