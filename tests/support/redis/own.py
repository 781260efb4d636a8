"""A Redis of its own for tests that look at all of it, or change whom it lets in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from spacer_tasks.demo.services import S3Server, redis_server
from tests.support.sending import empty_queues
from tests.support.settings import settings_in_environment


@contextmanager
def own_redis(s3: S3Server, bucket: str) -> Iterator[Redis]:
    """A client of a server that is started for the block; settings and Celery name it meanwhile."""
    with (
        redis_server() as server,
        settings_in_environment(server.url, s3, bucket),
        empty_queues(server.url),
    ):
        yield Redis.from_url(server.url)
