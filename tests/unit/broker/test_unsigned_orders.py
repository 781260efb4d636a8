"""What a worker that requires signatures does with orders."""

from __future__ import annotations

import json
import subprocess
import sys

TRY = """
import json

from celery.worker.control import Panel

from spacer_tasks.broker import signing

before = sorted(Panel.data)
signing.listen_to_no_orders()
print(json.dumps([before, sorted(Panel.data)]))
"""


def test_orders_that_carry_no_signature_are_not_listened_to() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRY], capture_output=True, text=True, check=True, env={}
    )
    before, after = json.loads(done.stdout)
    for order in ("shutdown", "pool_shrink", "revoke", "rate_limit", "add_consumer", "memdump"):
        assert order in before
        assert order not in after
    assert {"ping", "active_queues", "query_task"} <= set(after)
