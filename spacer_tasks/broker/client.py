"""Redis asked directly, where Celery has no word for it: one client a URL, with short time-outs.

A client is a pool of connections, safe between threads and after a fork. A URL is read as Celery
reads it, so that both look at the same database of the same Redis.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from spacer_tasks.broker.sentinel import SCHEME, primary_at
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.retries import REDIS_QUESTION_RETRIES

#: seconds; who asks is a web process or its cron job, and a Redis that is there answers in
#: milliseconds
TIMEOUT_S = 0.8

BROKER, RESULTS = "SPACER_BROKER_URL", "SPACER_RESULT_BACKEND_URL"
#: Celery's words for what to do with a certificate, and redis-py's
_CERTIFICATES = {
    "CERT_REQUIRED": "required",
    "CERT_OPTIONAL": "optional",
    "CERT_NONE": "none",
}
#: Celery's schemes, and redis-py's
_SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "redis+socket": "unix",
}


def broker_client() -> Redis:
    """The Redis that carries the tasks.

    Raises
    ------
    ConfigError
        The broker's URL is not one that Celery and redis-py take.
    """
    return _client(BROKER, get_settings().broker_url.get_secret_value())


def results_client() -> Redis:
    """The Redis that carries the results. Raises as `broker_client`."""
    settings = get_settings()
    # where it is not set, the mistake is in the other one
    return _client(RESULTS if settings.result_backend_url else BROKER, settings.result_backend)


@lru_cache(maxsize=8)
def _client(setting: str, url: str) -> Redis:
    return redis_at(setting, url, timeout_s=TIMEOUT_S, retries=REDIS_QUESTION_RETRIES)


def redis_at(setting: str, url: str, *, timeout_s: float, retries: int) -> Redis:
    """A client of the Redis at a URL of Celery's. It connects when it is first used.

    Parameters
    ----------
    setting
        The setting that holds the URL; errors name it.
    url
        `redis://`, `rediss://`, `redis+socket://` or `sentinel://`.
    timeout_s
        Seconds to wait for a connection, and for an answer.
    retries
        How often a refused or cut connection is made again.

    Raises
    ------
    ConfigError
        The URL is not one that Celery and redis-py take. The text does not quote it: it may hold
        a password.
    """
    retry = Retry(NoBackoff(), retries, supported_errors=(RedisConnectionError,))
    if url.startswith(f"{SCHEME}://"):
        return primary_at(setting, url, timeout_s, retry=retry)
    translated, timeouts = _translated(setting, url, timeout_s)
    try:
        client: Redis = Redis.from_url(
            translated,
            retry=retry,
            **timeouts,
        )
        pool = client.connection_pool
        # not connected yet: an option that redis-py does not know would fail at the first use only
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, RedisError) as error:
        raise ConfigError(f"{setting}: redis-py does not take this URL: {error}") from None
    return client


def _translated(setting: str, url: str, timeout_s: float) -> tuple[str, dict[str, Any]]:
    """A URL of Celery's in redis-py's words, and the time-outs that its kind of connection has."""
    scheme = url.partition("://")[0]
    if scheme not in _SCHEMES:
        kind = "does not begin with a scheme" if "://" not in url else f"begins with {scheme}://"
        raise ConfigError(f"{setting} is not a Redis URL: it {kind}, expected {_listed()}")
    socket = _SCHEMES[scheme] == "unix"
    try:
        parts = urlsplit(url)
        # looked at here, because redis-py's own error would quote half of a password
        _ = parts.port
    except ValueError:
        raise ConfigError(
            f"{setting} cannot be read: the host or the port is malformed; in a password, each of"
            " / ? # [ ] @ : must be written as its percent code"
        ) from None
    if not socket and not parts.path.strip("/").isdecimal() and parts.path.strip("/"):
        # redis-py would take database 0; this may also be Celery's list of several URLs
        raise ConfigError(
            f"{setting}: the database after the host is not a number, expected one URL such as"
            " redis://host:6379/0"
        )
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if setting == BROKER and "db" in query:
        # Celery would send the tasks to database 0
        raise ConfigError(
            f"{setting}: Celery does not read the database from ?db=; it is the path of a redis://"
            " URL, and ?virtual_host= of a redis+socket:// one"
        )
    if socket and "virtual_host" in query:
        query["db"] = query.pop("virtual_host").strip("/") or "0"
    if "ssl_cert_reqs" in query:
        asked = query["ssl_cert_reqs"]
        query["ssl_cert_reqs"] = _CERTIFICATES.get(asked, asked)
    timeouts = {"socket_timeout": timeout_s}
    if not socket:
        # a socket of this machine has none in older versions of redis-py
        timeouts["socket_connect_timeout"] = timeout_s
    address = f"{_SCHEMES[scheme]}://{parts.netloc}{parts.path}"
    return f"{address}?{urlencode(query)}", timeouts


def _listed() -> str:
    *others, last = (f"{scheme}://" for scheme in _SCHEMES)
    return f"{', '.join(others)} or {last}"
