"""What goes on beside the tasks of a worker: its pulse, its watchdog, its time to stop."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from celery import signals
from celery.worker.control import inspect_command

from spacer_tasks import retries
from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.worker import readiness
from spacer_tasks.worker.delivery import intake
from spacer_tasks.worker.delivery.heartbeat import Pulse
from spacer_tasks.worker.exit import exit_at_once
from spacer_tasks.worker.several import beside
from spacer_tasks.worker.watchdog import Watchdog

logger = logging.getLogger(__name__)

#: of the worker in this process, once it is ready
_watchdog: Watchdog | None = None
#: the worker's, once it is ready
_events: Any = None
#: messages that this worker has refused
_refused = 0
#: what the worker ended with; Celery keeps it to itself
_exit_code = 0


def attend(keys: Keys, threads: bool, *, redis_checked: bool) -> None:
    """Watch over the worker that is about to start in this process.

    Parameters
    ----------
    keys
        Of its pool's messages.
    threads
        Whether its tasks are threads.
    redis_checked
        Whether Redis has answered and is one to use; it is asked as soon as it answers, where not.
    """
    pulse = Pulse(keys)

    def ready(sender: Any, **_: Any) -> None:
        global _watchdog, _events
        _events = sender.event_dispatcher
        pulse.start()
        _watchdog = Watchdog(sender, keys, threads)
        _watchdog.start()
        signals.worker_shutting_down.connect(stopping(sender.controller), weak=False)
        if not redis_checked:
            threading.Thread(
                target=_check_redis, args=(sender.controller, keys), daemon=True
            ).start()

    def stopping(worker: Any) -> Any:
        def begin(**_: Any) -> None:
            threading.Thread(target=_end_in_time, args=(worker, keys), daemon=True).start()

        return begin

    def ended(sender: Any, **_: Any) -> None:
        global _exit_code
        _exit_code = int(sender.exitcode or 0)
        pulse.end()

    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutdown.connect(ended, weak=False)


def note_refusal(task_name: str) -> None:
    """Count a message that is refused, and tell who watches: Flower counts these events for
    Prometheus, by worker and task.
    """
    global _refused
    _refused += 1
    if _events is not None and _events.enabled:
        _events.send("message-refused", name=task_name)


def exit_code() -> int:
    """What the worker that ended in this process ended with: 0 if it was told to stop."""
    return _exit_code


def _check_redis(worker: Any, keys: Keys) -> None:
    """Ask a Redis that was away when the worker started, and end if it is not one to use."""
    try:
        while not readiness.redis_is_right():
            time.sleep(retries.REDIS_REFUSES.wait_s(0))
    except ConfigError as error:
        logger.critical("%s: this worker ends", error)
        exit_at_once(worker, keys, os.EX_CONFIG)


def _end_in_time(worker: Any, keys: Keys) -> None:
    grace_s = get_settings().stop_grace_s
    time.sleep(grace_s)
    logger.warning("not all tasks were done within the %g s of SPACER_STOP_GRACE_S", grace_s)
    exit_at_once(worker, keys, 0)


@inspect_command()
def spacer_health(_state: Any) -> dict[str, Any]:
    """Seconds since the worker last asked for tasks and was answered, or had no room for any;
    messages that it has refused; why it takes none, where it does not; and the names of the workers
    that were started together with it, its own too.
    """
    together = beside.beside()
    return {
        "silent_s": round(_watchdog.silent_s(), 1) if _watchdog else 0.0,
        "refused": _refused,
        "takes_nothing": intake.closed(),
        "together": list(together.names) if together else [],
    }
