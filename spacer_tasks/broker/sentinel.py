"""Redis Sentinel: who the primary is, asked anew for each connection.

A URL is Celery's: `sentinel://:password@host:26379/0;sentinel://other:26379/0`. User, password and
database are Redis's; `SPACER_SENTINEL_MASTER` names the primary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from spacer_tasks.config.settings import Settings, get_settings
from spacer_tasks.exceptions import ConfigError

if TYPE_CHECKING:
    from redis import Redis

SCHEME = "sentinel"
DEFAULT_PORT = 26379


def sentinel_options(settings: Settings, timeout_s: float) -> dict[str, Any]:
    """What Celery's and Kombu's transport options need; nothing where Sentinel is not used."""
    if settings.sentinel_master is None:
        return {}
    return {
        "master_name": settings.sentinel_master,
        "sentinel_kwargs": _of_sentinels(settings, timeout_s),
    }


def primary_at(setting: str, url: str, timeout_s: float, **options: Any) -> Redis:
    """A client of the primary. It asks the Sentinels when it connects.

    Parameters
    ----------
    setting
        The setting that holds the URL; errors name it.
    options
        More of redis-py's, for the connections to the primary.

    Raises
    ------
    ConfigError
        The URL is malformed, or `SPACER_SENTINEL_MASTER` is missing.
    """
    # imported here: whoever imports the tasks has no use for redis-py yet
    from redis.sentinel import Sentinel

    settings = get_settings()
    if settings.sentinel_master is None:
        raise ConfigError(
            f"{setting} is a {SCHEME}:// URL, so SPACER_SENTINEL_MASTER must name the primary"
        )
    hosts = []
    for each in url.split(";"):
        try:
            parts = urlsplit(each)
            hosts.append((parts.hostname or "localhost", parts.port or DEFAULT_PORT))
            database = int(parts.path.strip("/") or 0)
        except ValueError:
            raise ConfigError(
                f"{setting} cannot be read: a host, port or database is malformed, expected"
                " sentinel://:password@host:26379/0, or several of these with ; between"
            ) from None
        if parts.scheme != SCHEME:
            raise ConfigError(
                f"{setting}: of several URLs with ; between, all must begin with {SCHEME}://"
            )
    # as Celery takes them
    first = urlsplit(url.partition(";")[0])
    # redis-py's Sentinel has no types
    sentinels: Any = Sentinel(  # type: ignore[no-untyped-call]
        hosts,
        sentinel_kwargs=_of_sentinels(settings, timeout_s),
        username=unquote(first.username) if first.username else None,
        password=unquote(first.password) if first.password else None,
        db=database,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        **options,
    )
    return cast("Redis", sentinels.master_for(settings.sentinel_master))


def _of_sentinels(settings: Settings, timeout_s: float) -> dict[str, Any]:
    options: dict[str, Any] = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    if settings.sentinel_password is not None:
        options["password"] = settings.sentinel_password.get_secret_value()
    return options
