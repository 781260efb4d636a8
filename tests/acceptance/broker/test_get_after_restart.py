"""A caller that waits for a result while Redis is restarted is told; asked again, it is answered.

The state is set by the test, as a worker does; the caller is a process of its own, as a site's is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spacer_tasks.app import app
from tests.support.checkout import CHECKOUT
from tests.support.redis.durable import DurableRedis, durable_redis
from tests.support.sending import send_through

#: seconds; what waits for ever is ended by then
ENDS_S = 60
CALLER = """
import sys
from spacer_tasks.app import app
from spacer_tasks.broker.outages import redis_is_away

results = [app.AsyncResult(each) for each in ("a", "b")]
for result in results:
    result.backend.add_pending_result(result)
print("waits", flush=True)
try:
    results[0].get(timeout=30)
    print("no error")
except Exception as error:
    # redis-py's where Redis is away before it is asked, Celery's where it goes away meanwhile
    print("told" if redis_is_away(error) else repr(error), flush=True)
sys.stdin.readline()
print("asks again", flush=True)
print(results[0].get(timeout=30), results[1].get(timeout=30), flush=True)
"""


@pytest.mark.parametrize("when", ["before it asks again", "while it asks again"])
def test_a_result_that_came_after_a_restart_is_returned(tmp_path: Path, when: str) -> None:
    with durable_redis(tmp_path) as redis:
        send_through(redis.url)
        with subprocess.Popen(
            [sys.executable, "-c", CALLER],
            env={**os.environ, "SPACER_BROKER_URL": redis.url},
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as caller:
            assert caller.stdin is not None
            assert caller.stdout is not None
            assert caller.stdout.readline() == "waits\n"
            redis.stop()
            assert caller.stdout.readline() == "told\n"
            redis.start()
            if when == "before it asks again":
                _answer(redis)
            caller.stdin.write("\n")
            caller.stdin.flush()
            assert caller.stdout.readline() == "asks again\n"
            if when == "while it asks again":
                _answer(redis)
            assert caller.communicate(timeout=ENDS_S)[0] == "{'n': 'a'} {'n': 'b'}\n"
            assert caller.returncode == 0


def _answer(redis: DurableRedis) -> None:
    send_through(redis.url)
    for name in ("a", "b"):
        app.backend.store_result(name, {"n": name}, "SUCCESS")
