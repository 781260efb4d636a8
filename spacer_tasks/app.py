"""The Celery application, and the contract between callers and workers.

A process that set one broker URL can import this and send tasks. What the operator may change is
in `celeryconfig.py`; what is here must be the same on both sides.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

# connects itself to what Celery sends
from spacer_tasks import signing as signing
from spacer_tasks.config import get_settings
from spacer_tasks.sentinel import sentinel_options

FEATURES, TRAINING, CLASSIFY = "features", "training", "classify"
#: jobs that need more memory; the ordinary workers take these too, unless an operator splits them
FEATURES_HIGH, TRAINING_HIGH = "features.high", "training.high"
QUEUES = (FEATURES, FEATURES_HIGH, TRAINING, TRAINING_HIGH, CLASSIFY)


class Priority(IntEnum):
    """Which of the tasks that wait in one queue goes first: `apply_async(…, priority=…)`."""

    #: of what is sent without a word, also by older clients: somebody waits for it
    NORMAL = 0
    #: after these
    LOW = 3
    #: thousands that nobody waits for, such as extracting all images again
    BULK = 6


#: the priorities that have a list of their own in Redis; Kombu's own choice, so that workers and
#: clients of every version look into the same lists
PRIORITY_STEPS = (0, 3, 6, 9)

#: which queue a task goes to
ROUTES = {
    # these need the network
    "spacer_tasks.extract_features": FEATURES,
    "spacer_tasks.classify_image": FEATURES,
    "spacer_tasks.batch.extract": FEATURES,
    # these can take hours
    "spacer_tasks.train_classifier": TRAINING,
    "spacer_tasks.batch.train": TRAINING,
    "spacer_tasks.batch.train_candidate": TRAINING,
    # these are short
    "spacer_tasks.classify_features": CLASSIFY,
    "spacer_tasks.train_from_images": CLASSIFY,
    "spacer_tasks.train_many": CLASSIFY,
    "spacer_tasks.batch.classify": CLASSIFY,
    "spacer_tasks.batch.finish": CLASSIFY,
    "spacer_tasks.batch.compare": CLASSIFY,
}

CONTRACT: dict[str, Any] = {
    "task_serializer": "json",
    "result_serializer": "json",
    "event_serializer": "json",
    "accept_content": ["json"],
    "result_accept_content": ["json"],
    "task_queues": [
        # an exchange of its own: the default one would hand a message to all of them
        Queue(name, Exchange(name), routing_key=name)
        for name in QUEUES
    ],
    "task_routes": {name: {"queue": queue} for name, queue in ROUTES.items()},
    # a worker sends the callbacks of a task, also to a queue of the caller's own application
    "task_create_missing_queues": True,
    # a name that is in no route is a mistake: a worker must see and refuse it
    "task_default_queue": CLASSIFY,
    # at least once: a task leaves the queue when its answer is stored, not when it is taken
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    # so that callers and Flower can tell a task that runs from one that waits
    "task_track_started": True,
    "task_send_sent_event": True,
    "worker_send_task_events": True,
}


#: seconds that Redis keeps what is known of unfinished work beside its messages: bulk work waits
#: for days, and a training may take all of its time limit
WAITS_AT_MOST_S = 14 * 86400
#: seconds for a connection to one address of the host; a send tries twice if all it sends is
#: dropped. The system repeats a lost packet after a whole second, so twice as much would not help.
CALLER_CONNECT_S = 0.4
#: Celery's own would hold a request for 20 seconds while Redis is away, and Kombu's for 2; a worker
#: takes its own. A connection that was cut is made again all the same.
CALLER_RETRIES = {"max_retries": 0}


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
            **CALLER_RETRIES,
            **sentinel,
        },
        "redis_socket_timeout": timeout,
        "redis_socket_connect_timeout": CALLER_CONNECT_S,
        "result_backend_transport_options": {"retry_policy": CALLER_RETRIES, **sentinel},
        "task_publish_retry": False,
        "broker_connection_retry_on_startup": True,
    }


app = Celery(
    "spacer_tasks",
    # a site's own Celery application stays the current one
    set_as_current=False,
    # the Django fixup would close the caller's database connections
    fixups=[],
    include=["spacer_tasks.tasks", "spacer_tasks.workflows"],
)
app.conf.update(CONTRACT)
app.add_defaults(_from_settings)
