"""What a look of a worker's pulse costs, with many messages held by others of its pool.

A private Redis: `python -m benchmarks.pulse`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

from benchmarks.sides import ROOT

HELD = (1_000, 100_000)
WORKERS = 50
LOOKS = 20


def section() -> str:
    """The costs as a table of docs/benchmarks.md."""
    from spacer_tasks.demo.services import redis_server

    with redis_server() as redis:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.pulse", "--measure"],
            # a process of its own: settings are read once
            env={**os.environ, "SPACER_BROKER_URL": redis.url},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    return (
        f"| messages held by {WORKERS} workers | a look | bytes from Redis |\n|---|---|---|\n"
        + "\n".join(line for line in done.stdout.splitlines() if line.startswith("|"))
    )


def measure() -> None:
    """Print a line of the table for each number of messages."""
    from spacer_tasks.broker.client import broker_client
    from spacer_tasks.broker.whereabouts import Keys
    from spacer_tasks.worker.delivery.heartbeat import Pulse

    redis, keys = broker_client(), Keys.of("features")
    for held in HELD:
        redis.flushdb()
        with redis.pipeline(transaction=False) as pipe:
            for number in range(held):
                worker, tag = f"host/{number % WORKERS}/0123abcd", f"tag-{number:036}"
                pipe.hset(keys.unacked, tag, "x" * 2000)
                pipe.hset(keys.holders, tag, f"{worker}\nfeatures")
                # of versions that note what a worker holds
                pipe.zadd(f"{keys.unacked}.held", {f"{worker}\n{tag}": 0, f"{worker}\n": 0})
                pipe.zadd(keys.alive, {worker: time.time()})
                if number % 1000 == 0:
                    pipe.execute()
            pipe.execute()
        pulse, seconds = Pulse(keys), []
        pulse.look(redis)
        before = _sent(redis)
        for _ in range(LOOKS):
            started = time.perf_counter()
            pulse.look(redis)
            seconds.append(time.perf_counter() - started)
        sent = (_sent(redis) - before) / LOOKS
        print(f"| {held:,} | {median(seconds) * 1000:,.1f} ms | {sent:,.0f} |")


def _sent(redis: object) -> int:
    stats = redis.info("stats")  # type: ignore[attr-defined]  # a client
    return int(stats["total_net_output_bytes"])


if __name__ == "__main__":
    if "--measure" in sys.argv:
        measure()
    else:
        print(section())
