"""Workers that only take, each a process: `python -m tests.support.network.crowd REDIS COUNT`.

Each takes messages as a worker's channel does, has a worker's pulse, notes what it did in the list
`crowd.done`, and acknowledges. Forked from one process, which has loaded what workers load. Its
input is a line for each that is to be killed; its output, their process ids. They end with it.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from redis import Redis

from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.execution import connection
from spacer_tasks.worker.delivery import qos, unacked
from spacer_tasks.worker.delivery.heartbeat import Pulse

KEYS = Keys("crowd.unacked", "crowd.unacked_index")
QUEUE, DONE = "crowd", "crowd.done"
#: seconds that a message takes, at most
WORK_S = 0.05


def _worker(url: str) -> None:
    connection._me = ""
    redis = Redis.from_url(url)
    pulse = Pulse(KEYS)
    pulse.start()
    execute: Any = redis.execute_command
    while True:
        taken = execute(*unacked.take_command(KEYS, [QUEUE]))
        if not taken:
            time.sleep(0.05)
            continue
        tag = taken[2].decode()
        qos.taken(tag)
        time.sleep(random.uniform(0, WORK_S))
        redis.rpush(DONE, f"{os.getpid()} {tag}")
        unacked.forget(redis, KEYS, tag)
        qos.settled(tag)


def main(url: str, count: int) -> None:
    """Start them, and kill one for each line of the input."""
    children = []
    for _ in range(count):
        child = os.fork()
        if not child:
            os.close(0)
            _worker(url)
        children.append(child)
    print(*children, flush=True)
    left = list(children)
    for _ in sys.stdin:
        dead = left.pop()
        os.kill(dead, signal.SIGKILL)
        print(dead, flush=True)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
