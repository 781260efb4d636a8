"""Versions of Celery, Kombu and redis-py with which workers were tried; others are refused.

How a worker takes and keeps messages hangs on names inside Kombu that are nobody's promise. With
another Kombu it might run on without its records, and what a killed worker had would wait for
hours. Callers hang on none of it: they may have any version that the package admits.
"""

from __future__ import annotations

from typing import Any

import celery
import kombu
import redis
from kombu.transport.redis import Channel, MultiChannelPoller

from spacer_tasks.exceptions import ConfigError

Version = tuple[int, ...]
#: the oldest, and the first of those that are not known any more. The tests run workers with the
#: oldest and the newest of each (tests/acceptance/installation/test_versions.py), and the extra
#: [worker] of pyproject.toml admits the same
TRIED: dict[str, tuple[Version, Version]] = {
    "celery": ((5, 6), (5, 8)),
    "kombu": ((5, 6), (5, 8)),
    "redis": ((5, 2), (9,)),
}
_FOUND = {"celery": celery, "kombu": kombu, "redis": redis}
_NAMES = {"celery": "Celery", "kombu": "Kombu", "redis": "redis-py"}
#: who in Kombu calls what `channel.py` has in its place
_CALLS: tuple[tuple[type[Any], str, str], ...] = (
    (MultiChannelPoller, "_register_BRPOP", "_brpop_start"),
    (Channel, "__init__", "_brpop_read"),
    (Channel, "close", "_brpop_read"),
)


def check() -> None:
    """See that the versions that are installed are among those that were tried.

    Raises
    ------
    ConfigError
        One is not, or is not what its version says.
    """
    for name, (oldest, too_new) in TRIED.items():
        version = _version(name)
        if not oldest <= _numbers(version) < too_new:
            raise ConfigError(f"{_NAMES[name]} {version} is installed; {_known()}")
    for owner, caller, called in _CALLS:
        code = getattr(getattr(owner, caller, None), "__code__", None)
        if code is None or called not in code.co_names:
            raise ConfigError(
                f"this Kombu {_version('kombu')} asks for messages in a way that is not known"
                f" ({owner.__name__}.{caller} does not call {called}); {_known()}"
            )


def _version(name: str) -> str:
    module: Any = _FOUND[name]
    return str(module.__version__)


def _known() -> str:
    ranges = [
        f"{_NAMES[name]} {_text(oldest)} or later, before {_text(too_new)}"
        for name, (oldest, too_new) in TRIED.items()
    ]
    return f"workers know {', '.join(ranges)}: pip install 'spacer-tasks[worker]' brings these"


def _text(version: Version) -> str:
    return ".".join(map(str, version))


def _numbers(version: str) -> Version:
    """The first numbers of a version: `5.6.0rc1` comes with 5.6."""
    numbers: list[int] = []
    for part in version.split(".")[:2]:
        digits = ""
        for character in part:
            if not character.isdecimal():
                break
            digits += character
        numbers.append(int(digits or 0))
    return tuple(numbers)
