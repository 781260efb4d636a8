"""Every fault, how often it happens, and its share of the run's time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial

from tests.soak.faults import of_messages, of_redis, of_s3, of_workers
from tests.soak.faults.scene import Fault, Scene, nothing
from tests.support.s3.faults import ALL

FAULTS = (
    Fault("none", "", 0.06, 5, nothing),
    Fault("a worker is killed (SIGKILL)", "every 6 s", 0.24, 6, of_workers.kill_a_worker),
    Fault("workers come and go (SIGTERM)", "every 8 s", 0.12, 8, of_workers.change_the_pool),
    Fault(
        "a worker hangs for 40 s (SIGSTOP)", "every 50 s", 0.12, 50, of_workers.let_a_worker_hang
    ),
    Fault("a task kills its worker each time", "every 30 s", 0.1, 30, of_messages.send_a_killer),
    Fault("a task hangs", "every 20 s", 0.08, 20, of_messages.send_one_that_hangs),
    Fault(
        "a worker's memory passes its limit",
        "every 12 s",
        0.06,
        12,
        of_messages.send_one_that_grows,
    ),
    Fault("tasks and batches are cancelled", "every 2 s or less", 0.06, 1, of_messages.cancel_one),
    Fault("Redis is stopped for 30 s", "every 75 s", 0.14, 75, of_redis.stop_redis),
    Fault(
        "Redis is stopped or killed, and restarted", "every 12 s", 0.09, 12, of_redis.restart_redis
    ),
    Fault("all connections to Redis are cut", "every 5 s", 0.09, 5, of_redis.cut_connections),
    Fault("Redis is read-only for 8 s", "every 20 s", 0.09, 20, of_redis.make_read_only),
    Fault("Redis is out of memory for 8 s", "every 20 s", 0.09, 20, of_redis.fill_its_memory),
    Fault("all workers are killed at once", "every 30 s", 0.07, 30, of_workers.kill_all),
    Fault(
        "a worker is ended at once (SIGQUIT)", "every 6 s", 0.06, 6, of_workers.end_a_worker_at_once
    ),
    Fault(
        "two workers of one name start", "every 30 s", 0.05, 30, of_workers.start_two_of_one_name
    ),
    Fault(
        "a worker has another signing key",
        "every 40 s",
        0.06,
        40,
        of_workers.start_one_with_another_key,
    ),
    Fault(
        "a worker's clock is 8 days ahead",
        "every 40 s",
        0.06,
        40,
        of_workers.start_one_with_another_clock,
    ),
    Fault("malformed messages are sent", "3 each 2 s", 0.06, 2, of_messages.send_malformed_ones),
    Fault(
        "messages are delivered twice", "up to 9 each 2 s", 0.06, 2, of_messages.deliver_some_twice
    ),
    Fault("Redis hangs for 20 s (SIGSTOP)", "every 60 s", 0.07, 60, of_redis.let_redis_hang),
    Fault("Redis answers no writes for 8 s", "every 20 s", 0.06, 20, of_redis.hold_back_writes),
    Fault("Redis runs no scripts for 8 s", "every 20 s", 0.06, 20, of_redis.forbid_scripts),
    Fault("Redis forgets its scripts", "every 2 s", 0.05, 2, of_redis.forget_scripts),
    Fault(
        "Redis and all workers are killed",
        "every 30 s",
        0.07,
        30,
        of_redis.restart_redis_and_kill_workers,
    ),
    Fault("S3 hangs for 25 s", "every 60 s", 0.07, 60, of_s3.let_s3_hang),
    Fault("S3 refuses answers for 25 s", "every 60 s", 0.07, 60, of_s3.refuse_answers),
    Fault(
        "the results bucket is away for 25 s", "every 60 s", 0.07, 60, of_s3.lose_the_results_bucket
    ),
    Fault("images are away for 25 s", "every 60 s", 0.07, 60, of_s3.take_images_away),
    Fault("a worker's child is killed (SIGKILL)", "every 3 s", 0.09, 3, of_workers.kill_a_child),
    Fault(
        "Redis is stopped for 100 s", "once", 0.08, 1e6, partial(of_redis.stop_redis, seconds=100)
    ),
    Fault("S3 is away for 45 s", "every 80 s", 0.12, 80, of_s3.take_s3_away),
    Fault(
        "S3 is away for 10 min, 1,000 tasks wait",
        "once",
        0.01,
        1e6,
        of_s3.take_s3_away_from_waiting,
    ),
    Fault("S3 misbehaves", "one request in six", 0.14, 5, nothing, ALL),
)

#: with a Redis that Sentinel watches
PROMOTION = Fault(
    "the primary Redis is killed when its replica has all, which is promoted",
    "every 40 s",
    0.14,
    40,
    of_redis.promote_the_replica,
)

#: all of them but the long ones, within half a minute
_ALL_IN_TURN: Iterator[Callable[[Scene], None]] = itertools.cycle(
    (
        of_workers.kill_a_worker,
        of_workers.kill_a_worker,
        of_redis.cut_connections,
        of_workers.kill_a_worker,
        partial(of_redis.make_read_only, seconds=3),
        of_workers.change_the_pool,
        of_workers.kill_a_child,
        partial(of_s3.take_s3_away, seconds=3),
        partial(of_redis.fill_its_memory, seconds=3),
        of_redis.restart_redis,
        of_workers.kill_a_worker,
        of_redis.restart_redis,
    )
)
SHORT = Fault("all", "every 3 s", 1, 3, lambda scene: next(_ALL_IN_TURN)(scene), ALL)
