"""Whether Redis answers, asked before Celery does: Celery would try again for a long time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from spacer_tasks.broker.client import BROKER, RESULTS, redis_at
from spacer_tasks.config.settings import get_settings, shown
from spacer_tasks.exceptions import BrokerUnavailableError, ConfigError
from spacer_tasks.retries import TERMINAL_RETRIES

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
        with _reached(RESULTS, settings.result_backend):
            pass
    with _reached(BROKER, broker_url) as redis:
        yield redis


@contextmanager
def _reached(setting: str, url: str) -> Iterator[Redis]:
    where = f"Redis at {shown(get_settings())[setting]} ({setting})"
    redis = redis_at(setting, url, timeout_s=TIMEOUT_S, retries=TERMINAL_RETRIES)
    try:
        redis.ping()
        yield redis
    except AuthenticationError as error:
        raise ConfigError(f"{where} refuses the password: {error}") from error
    except (RedisError, OSError) as error:
        raise BrokerUnavailableError(f"{where} does not answer: {error}") from error
    finally:
        redis.close()
