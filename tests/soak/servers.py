"""What the suite runs against, and what it tells the workers."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from spacer_tasks.demo.services import s3_server
from tests.support.checkout import CHECKOUT
from tests.support.redis.durable import DurableRedis
from tests.support.redis.watched import MASTER, WatchedRedis
from tests.support.s3.buckets import fresh_bucket
from tests.support.s3.front import S3Front, s3_front
from tests.support.sending import empty_queues, sentinel_in_use
from tests.support.settings import settings_in_environment

#: of S3 settings: a hanging answer is not waited for as long as in a deployment
IMPATIENT = {"SPACER_S3_CONNECT_TIMEOUT_S": "3", "SPACER_S3_READ_TIMEOUT_S": "4"}
#: of workers: a task that takes 600 MiB ends its worker, after it was answered; and less time to
#: stop than they are given here
SMALL = {"SPACER_MAX_MEMORY_BYTES": str(900 * 2**20), "SPACER_STOP_GRACE_S": "10"}


@dataclass(frozen=True)
class Servers:
    """The running servers, and the environment of the workers."""

    redis: DurableRedis | WatchedRedis
    front: S3Front
    bucket: str
    environment: dict[str, str]


@contextmanager
def servers(folder: Path, *, watched: bool = False) -> Iterator[Servers]:
    """All servers, and this process's settings for them. S3 is seen by this process directly and
    by the workers through the proxy.

    Parameters
    ----------
    watched
        Whether Redis is one that Sentinel watches, with a replica; else a single one as in the
        deployment, with an append-only file that is written to disk every second.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        s3 = stack.enter_context(s3_server(folder / "s3"))
        front = stack.enter_context(s3_front(s3, folder))
        bucket = stack.enter_context(fresh_bucket(s3))
        redis: DurableRedis | WatchedRedis
        env = dict(os.environ)
        if watched:
            redis = WatchedRedis(stack, folder)
            env |= {"SPACER_SENTINEL_MASTER": MASTER}
            stack.enter_context(pytest.MonkeyPatch.context()).setenv(
                "SPACER_SENTINEL_MASTER", MASTER
            )
        else:
            redis = DurableRedis(folder, "everysec")
            stack.callback(redis.stop)
            redis.start()
        keys = secrets.token_hex(20)
        # before the settings are read: the caller signs, and so do workers
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("SPACER_SIGNING_KEYS", keys)
        env |= {"SPACER_SIGNING_KEYS": keys, "SPACER_REQUIRE_SIGNED": "true"}
        env |= stack.enter_context(settings_in_environment(redis.url, s3, bucket))
        if watched:
            stack.enter_context(sentinel_in_use())
        stack.enter_context(empty_queues(redis.url))
        env |= {"SPACER_S3_ENDPOINT_URL": front.s3.endpoint_url, **IMPATIENT, **SMALL}
        # the extractor whose tasks kill, hang or outgrow their worker
        env |= {"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests' / 'plugins'}"}
        yield Servers(redis, front, bucket, env)
