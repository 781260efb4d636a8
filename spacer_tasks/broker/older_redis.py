"""Celery's result backend with a redis-py below 5, which the sites that pin it keep.

Celery's newer versions tell Redis their own name by two options of redis-py 5; an older one refuses
every connection that is made with them.
"""

from __future__ import annotations

from celery.backends.redis import RedisBackend, SentinelBackend

class _Nameless:
    def _add_driver_info(self) -> None:
        """Tell nothing. Celery 5.5 does not call this."""


class NamelessRedis(_Nameless, RedisBackend):
    """For `redis://` and `rediss://`."""


class NamelessSentinel(_Nameless, SentinelBackend):
    """For `sentinel://`."""
