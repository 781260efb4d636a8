"""The contract between callers and workers: queues, routes, priorities, and what Celery is told.

It must be the same on both sides. What the operator may change is in `celeryconfig.py`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from kombu import Exchange, Queue

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
#: header of a message: when it was sent, in seconds since 1970
SENT_AT = "sent_at"
#: header of a batch's message: which sending of it this is
RUN = "spacer_run"

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
