"""Fifty workers on one Redis: a message is done twice only if its first worker was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest
from redis import Redis

from spacer_tasks.demo.services import RedisServer, redis_server
from tests.support.checkout import CHECKOUT
from tests.support.network.crowd import DONE, KEYS, QUEUE
from tests.support.waiting import wait_until

WORKERS, KILLED = 50, 10
#: messages; 5,000 in `make hosts`
MESSAGES = int(os.environ.get("TEST_CROWD_MESSAGES", "1000"))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """Of its own: what fifty workers ask must not hold up other tests."""
    with redis_server() as found:
        yield found


def message(number: int) -> str:
    return json.dumps(
        {
            "body": "e30=",
            "headers": {"id": str(number)},
            "properties": {
                "delivery_tag": f"tag-{number}",
                "delivery_info": {"exchange": QUEUE, "routing_key": QUEUE},
            },
        }
    )


def done_by(redis: Redis, count: int) -> bool:
    return redis.llen(DONE) >= count


def test_what_fifty_workers_take_is_done_once_though_ten_are_killed(server: RedisServer) -> None:
    redis = Redis.from_url(server.url, decode_responses=True)
    crowd = subprocess.Popen(
        [sys.executable, "-m", "tests.support.network.crowd", server.url, str(WORKERS)],
        env={**os.environ, "SPACER_BROKER_URL": server.url, "SPACER_WORKER_SILENT_S": "4"},
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert crowd.stdin is not None
    assert crowd.stdout is not None
    try:
        assert len(crowd.stdout.readline().split()) == WORKERS
        killed: set[str] = set()
        with redis.pipeline() as pipe:
            for number in range(MESSAGES):
                pipe.lpush(QUEUE, message(number))
            pipe.execute()
        while len(killed) < KILLED:
            # while all have something in hand
            due = len(killed) * MESSAGES // (2 * KILLED)
            wait_until(partial(done_by, redis, due), 120, "nothing is done")
            crowd.stdin.write("\n")
            crowd.stdin.flush()
            killed.add(crowd.stdout.readline().strip())

        def settled() -> bool:
            return not redis.llen(QUEUE) and not redis.hlen(KEYS.unacked)

        wait_until(settled, 240, "messages are left")
        done = [str(entry).split() for entry in redis.lrange(DONE, 0, -1)]
        times = Counter(tag for _, tag in done)
        assert set(times) == {f"tag-{number}" for number in range(MESSAGES)}
        twice = {tag for tag, count in times.items() if count > 1}
        # done, and its worker killed before it could say so
        assert all(any(pid in killed for pid, each in done if each == tag) for tag in twice)
        assert max(times.values()) <= 2
        assert len({pid for pid, _ in done}) > WORKERS // 2
        wait_until(
            lambda: redis.zcard(KEYS.alive) == WORKERS - KILLED, 120, "who was killed is listed"
        )
        assert redis.zcard(KEYS.held) == WORKERS - KILLED
        asked = redis.info("commandstats")
        print(f"{MESSAGES} messages, {WORKERS} workers, {KILLED} killed, {len(twice)} done twice")
        # nobody read what all hold
        assert "cmdstat_hgetall" not in asked
    finally:
        crowd.stdin.close()
        crowd.wait(60)
