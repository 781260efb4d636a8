"""Whether Redis answers, asked before Celery does: Celery would try again for a long time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry

from spacer_tasks.config import get_settings, shown
from spacer_tasks.exceptions import BrokerUnavailableError, ConfigError

#: seconds; someone waits at the terminal, and a Redis that is there answers in milliseconds
TIMEOUT_S = 3.0


@contextmanager
def reached_redis() -> Iterator[Redis]:
    """The Redis that carries the tasks, after it and the one with the results have answered.

    Raises
    ------
    BrokerUnavailableError
        One does not answer, or stops answering in the block.
    ConfigError
        A URL is no Redis's, or Redis refuses the password.
    """
    settings = get_settings()
    broker_url = settings.broker_url.get_secret_value()
    if settings.result_backend != broker_url:
        with _reached("SPACER_RESULT_BACKEND_URL", settings.result_backend):
            pass
    with _reached("SPACER_BROKER_URL", broker_url) as redis:
        yield redis


@contextmanager
def _reached(setting: str, url: str) -> Iterator[Redis]:
    where = f"Redis at {shown(get_settings())[setting]} ({setting})"
    try:
        redis: Redis = Redis.from_url(
            url,
            socket_connect_timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise ConfigError(f"{where}: not a Redis URL ({error})") from None
    try:
        redis.ping()
        yield redis
    except AuthenticationError as error:
        raise ConfigError(f"{where} refuses the password: {error}") from error
    except (RedisError, OSError) as error:
        raise BrokerUnavailableError(f"{where} does not answer: {error}") from error
    finally:
        redis.close()
