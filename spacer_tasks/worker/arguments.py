"""What an operator may say on a worker's command line: Celery's options, where they have an effect.

Celery takes some without a word and does nothing, or something else than this package's workers
need. They are looked at before anything is loaded, so that a mistake is one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import click
from celery.bin.worker import worker as celery_worker
from celery.utils.nodenames import default_nodename, host_format

from spacer_tasks.broker.contract import QUEUES
from spacer_tasks.broker.whereabouts import POOL_OF
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.worker.pools import Pool

Implementation = Literal["threads", "prefork"]
#: options that are not for workers of this package, and why
_NOT_HERE = {
    "detach": "run it under a supervisor, which starts it again when it ends",
    "beat": "this package has no periodic tasks",
    "scheduler": "this package has no periodic tasks",
    "schedule_filename": "this package has no periodic tasks",
}
#: options that Celery's pool of threads takes and does nothing for
_OF_PROCESSES = {
    "time_limit": "set SPACER_FEATURE_TIME_LIMIT_S",
    "soft_time_limit": "set SPACER_FEATURE_TIME_LIMIT_S",
    "max_tasks_per_child": "a thread is no process that could be replaced",
    "max_memory_per_child": "set SPACER_MAX_MEMORY_BYTES",
    "autoscale": "set --concurrency",
}
#: options whose values Celery looks at late
_CONVERTED = ("loglevel", "autoscale", "time_limit", "soft_time_limit")


@dataclass(frozen=True)
class Arguments:
    """What is said on the command line, beside what only Celery reads.

    Attributes
    ----------
    concurrency
        Tasks at once; None where it is not said.
    hostname
        The worker's whole name.
    """

    concurrency: int | None
    implementation: Implementation
    hostname: str


def checked(pool: Pool, given: Sequence[str]) -> Arguments:
    """Read the arguments for a worker of a pool.

    Raises
    ------
    ConfigError
        One is unknown, malformed, or has no effect here; the text says what is expected.
    """
    context = click.Context(celery_worker, info_name="worker")
    options = _parsed(context, given)
    implementation = options.get("pool", pool.implementation)
    if implementation not in get_args(Implementation):
        raise ConfigError(
            f"--pool {implementation}: expected {' or '.join(get_args(Implementation))}"
        )
    for name, why in _NOT_HERE.items():
        if options.get(name):
            raise ConfigError(f"--{name.replace('_', '-')} has no effect here: {why}")
    if implementation == "threads":
        for name, why in _OF_PROCESSES.items():
            if name in options:
                raise ConfigError(
                    f"--{name.replace('_', '-')} has no effect on threads, as this worker's tasks"
                    f" are: {why}"
                )
    _check_values(context, options)
    _check_queues(pool, options)
    return Arguments(
        concurrency=_concurrency(options.get("concurrency")),
        implementation=cast("Implementation", implementation),
        hostname=_hostname(options.get("hostname") or f"{pool.queue}@%h"),
    )


def _parsed(context: click.Context, given: Sequence[str]) -> dict[str, Any]:
    try:
        # nothing is done but reading; values stay text
        options, rest, _ = celery_worker.make_parser(context).parse_args(list(given))
    except click.ClickException as error:
        raise ConfigError(error.format_message()) from None
    if rest:
        raise ConfigError(f"{rest[0]}: expected options only, such as --concurrency 4")
    return options


def _concurrency(given: str | None) -> int | None:
    if given is None:
        return None
    number = int(given) if given.isascii() and given.isdecimal() else 0
    if number < 1:
        raise ConfigError(f"--concurrency {given}: expected a whole number, 1 or more")
    return number


def _check_values(context: click.Context, options: dict[str, Any]) -> None:
    for parameter in celery_worker.params:
        name = parameter.name or ""
        if name not in _CONVERTED or name not in options:
            continue
        try:
            parameter.type_cast_value(context, options[name])
        except (click.ClickException, ValueError, KeyError, TypeError) as error:
            said = error.format_message() if isinstance(error, click.ClickException) else error
            raise ConfigError(f"--{name.replace('_', '-')} {options[name]}: {said}") from None


def _check_queues(pool: Pool, options: dict[str, Any]) -> None:
    left = set(pool.queues)
    for name in ("queues", "exclude_queues"):
        if name not in options:
            continue
        named = [each.strip() for each in str(options[name]).split(",")]
        option = f"--{name.replace('_', '-')}"
        for queue in named:
            if queue in pool.queues:
                continue
            if queue in QUEUES:
                raise ConfigError(
                    f"{option}: this worker does not serve {queue}; start one with"
                    f" `spacer-tasks worker {POOL_OF[queue]}`"
                )
            raise ConfigError(
                f"{option}: there is no queue {queue!r}, expected of {', '.join(pool.queues)}"
            )
        left = left & set(named) if name == "queues" else left - set(named)
    if not left:
        raise ConfigError("--exclude-queues leaves this worker no queue to take from")


def _hostname(given: str) -> str:
    """As Celery makes it of the option."""
    return str(host_format(default_nodename(given)))
