"""The operator's `celeryconfig.py`: Celery's settings, where they take effect.

What this package sets itself would be passed over without a word, or part workers from callers; so
would a name that Celery does not have.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from celery.app import defaults

from spacer_tasks.app import app, settings_of_callers
from spacer_tasks.broker.contract import CONTRACT
from spacer_tasks.exceptions import ConfigError

#: what a worker sets beside the contract and `app.py`, and what its command line sets
WORKERS_OWN = frozenset(
    {
        "broker_channel_error_retry", "broker_connection_timeout", "broker_transport_options",
        "redis_socket_connect_timeout", "redis_socket_timeout", "result_backend_always_retry",
        "result_backend_max_sleep_between_retries_ms", "result_backend_transport_options",
        "task_publish_retry", "task_publish_retry_policy", "worker_concurrency", "worker_pool",
    }
)  # fmt: skip
#: what would part Celery's connections from this package's own, or does nothing in a worker
_ELSEWHERE = {"broker_read_url", "broker_transport", "broker_write_url", "task_always_eager"}
#: where the operator sets it
_INSTEAD = {
    "broker_url": "set SPACER_BROKER_URL",
    "broker_read_url": "set SPACER_BROKER_URL",
    "broker_write_url": "set SPACER_BROKER_URL",
    "result_backend": "set SPACER_RESULT_BACKEND_URL",
    "result_expires": "set SPACER_RESULTS_EXPIRE_S",
    "worker_concurrency": "say --concurrency",
    "worker_pool": "say --pool",
}
#: numbers that must be more than nothing
_POSITIVE = {"task_time_limit", "task_soft_time_limit", "broker_pool_limit", "broker_heartbeat"}
#: Python's types of numbers, by Celery's words
_NUMBERS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float)}


def take(config_module: str | None) -> None:
    """Let Celery take the operator's settings, if there is such a module.

    Raises
    ------
    ConfigError
        The module cannot be imported, or sets what has no effect.
    """
    if config_module is None:
        return
    try:
        module = importlib.import_module(config_module)
    except Exception as error:
        # also what is wrong inside of it
        raise ConfigError(
            f"{config_module} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if faults := list(_faults(module)):
        raise ConfigError(f"{module.__file__}: {'; '.join(faults)}")
    app.config_from_object(module)


def _faults(module: ModuleType) -> Iterator[str]:
    known: Any = defaults
    options = dict(known.flatten(known.NAMESPACES))
    ours = CONTRACT.keys() | settings_of_callers() | WORKERS_OWN | _ELSEWHERE
    older = known._OLD_SETTING_KEYS
    for name, value in sorted(vars(module).items()):
        if name.startswith("_") or isinstance(value, ModuleType) or callable(value):
            continue
        if name in ours:
            yield f"{name} cannot be set here: {_INSTEAD.get(name, _why(name))}"
        elif name in options:
            if fault := _fault_of(name, value, options[name].type):
                yield fault
        elif name in older or name.upper() in older:
            yield f"{name} is a name of Celery before 4: use the one in small letters"
        elif name == name.lower():
            near = difflib.get_close_matches(name, options, n=1)
            yield f"{name} is no setting of Celery's" + (f", {near[0]} is" if near else "")


def _why(name: str) -> str:
    if name in CONTRACT:
        return "it belongs to the contract between callers and workers (broker/contract.py)"
    return "this package sets it, for callers and workers alike"


def _fault_of(name: str, value: Any, kind: str) -> str | None:
    numbers = _NUMBERS.get(kind)
    if value is None or numbers is None:
        return None
    if not isinstance(value, numbers) or isinstance(value, bool):
        return f"{name} is {value!r}, expected a number"
    number: Any = value
    if name in _POSITIVE and number <= 0:
        return f"{name} is {value!r}, expected more than 0"
    return None
