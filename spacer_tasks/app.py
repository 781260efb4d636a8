"""The Celery application, and the contract between callers and workers.

A process that set one broker URL can import this and send tasks. What the operator may change is
in `celeryconfig.py`; what is here must be the same on both sides.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from spacer_tasks.config import get_settings

FEATURES, TRAINING, CLASSIFY = "features", "training", "classify"

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
        # an exchange of its own: the default one would hand a message to all three
        Queue(name, Exchange(name), routing_key=name)
        for name in (FEATURES, TRAINING, CLASSIFY)
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


#: Celery's own would hold a request for 20 seconds while Redis is away; a worker takes its own
CALLER_RETRIES = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}


def _from_settings() -> dict[str, Any]:
    settings = get_settings()
    return {
        "broker_url": settings.broker_url.get_secret_value(),
        "result_backend": settings.result_backend,
        "result_expires": settings.results_expire_s,
        # a caller must not hang for as long as Redis is away
        "broker_connection_timeout": 4,
        "broker_connection_retry_on_startup": True,
        "redis_socket_connect_timeout": 4,
        "result_backend_transport_options": {"retry_policy": CALLER_RETRIES},
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
