"""The Celery application.

A process that set one broker URL can import this and send tasks. What the operator may change is
in `celeryconfig.py`; `broker/contract.py` must be the same on both sides.
"""

from __future__ import annotations

from typing import Any

from celery import Celery, signals

from spacer_tasks import retries
from spacer_tasks.broker.contract import CONTRACT, PRIORITY_STEPS, WAITS_AT_MOST_S
from spacer_tasks.broker.sentinel import sentinel_options
from spacer_tasks.broker.signing import sign
from spacer_tasks.config.settings import get_settings

#: seconds for a connection to one address of the host; a send tries twice if all it sends is
#: dropped. The system repeats a lost packet after a whole second, so twice as much would not help.
CALLER_CONNECT_S = 0.4


def _from_settings() -> dict[str, Any]:
    settings = get_settings()
    # Before a task is sent, the result backend subscribes to its answer, and where that fails tries
    # once more from a new connection. A worker takes longer time-outs.
    timeout = settings.caller_timeout_s
    sentinel = sentinel_options(settings, timeout)
    return {
        "broker_url": settings.broker_url.get_secret_value(),
        "result_backend": settings.result_backend,
        "result_expires": settings.results_expire_s,
        # a batch whose count lapses before its last part is back would never be answered
        "result_chord_expires": max(WAITS_AT_MOST_S, settings.results_expire_s),
        # each of these alone would let a Redis that hangs hold a caller for seconds, or for ever
        "broker_connection_timeout": timeout,
        "broker_transport_options": {
            "socket_timeout": timeout,
            "socket_connect_timeout": CALLER_CONNECT_S,
            "priority_steps": list(PRIORITY_STEPS),
            # a worker takes its own
            **retries.CALLER_TO_REDIS,
            **sentinel,
        },
        "redis_socket_timeout": timeout,
        "redis_socket_connect_timeout": CALLER_CONNECT_S,
        "result_backend_transport_options": {
            "retry_policy": retries.CALLER_TO_REDIS,
            **sentinel,
        },
        "task_publish_retry": False,
        "broker_connection_retry_on_startup": True,
    }


def settings_of_callers() -> frozenset[str]:
    """The names of Celery's settings that follow from this package's."""
    return frozenset(_from_settings())


app = Celery(
    "spacer_tasks",
    # a site's own Celery application stays the current one
    set_as_current=False,
    # the Django fixup would close the caller's database connections
    fixups=[],
    # imported when something is first sent
    amqp="spacer_tasks.broker.publishing:AMQP",
    include=["spacer_tasks.tasks", "spacer_tasks.workflows"],
)
app.conf.update(CONTRACT)
# imported when a result is first asked for
app.loader.override_backends = {
    "redis": "spacer_tasks.broker.result_backend:Redis",
    "rediss": "spacer_tasks.broker.result_backend:Redis",
    "sentinel": "spacer_tasks.broker.result_backend:Sentinel",
}
app.add_defaults(_from_settings)
# in each process that imports this, for whatever it sends: a worker's retries and callbacks too
signals.before_task_publish.connect(sign)
