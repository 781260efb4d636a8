"""Tasks and messages that do harm."""

from __future__ import annotations

import itertools
import random
import time
import uuid
from contextlib import suppress

from redis.exceptions import RedisError

from spacer_tasks.exceptions import BrokerUnavailableError
from spacer_tasks.execution.cancellation import cancel
from tests.soak.faults.scene import Scene
from tests.support.messages.envelopes import envelope, malformed

_KILLERS = itertools.cycle(("kills", "kills_a_child"))


def send_a_killer(scene: Scene) -> None:
    """A task that ends its process with SIGKILL, each time that it is begun."""
    scene.times += bool(scene.caller.send(next(_KILLERS)))


def send_one_that_hangs(scene: Scene) -> None:
    """A task that does not end."""
    scene.times += bool(scene.caller.send("hangs"))


def send_one_that_grows(scene: Scene) -> None:
    """A task after which its worker has too much memory."""
    scene.times += bool(scene.caller.send("grows"))


def cancel_one(scene: Scene) -> None:
    """A task or a batch that is cancelled while it waits or runs, or when it has just ended."""
    kind = random.choice(("extract", "train", "train_from_images", "train_many"))
    task_id = scene.caller.send(kind, or_ends="TaskCancelledError")
    if task_id is None:
        return
    time.sleep(random.uniform(0, 2))
    with suppress(BrokerUnavailableError):
        scene.times += cancel(task_id)


def send_malformed_ones(scene: Scene, count: int = 3) -> None:
    """Messages that are wrong in some place, between the good ones.

    Few, and in each queue by what else is in it: where one in five is unsigned, workers take no
    more, which is as it should be.
    """
    redis = scene.servers.redis.client()
    message = {"job_token": "wrong"}
    with suppress(RedisError):
        for _ in range(count):
            queue = random.choices(("features", "classify", "training"), (60, 40, 3))[0]
            task = random.choice(("extract_features", "classify_features", "train_classifier"))
            good = envelope(f"spacer_tasks.{task}", f"wrong-{uuid.uuid4()}", message, queue)
            redis.lpush(queue, malformed(good, random.Random()))
            scene.times += 1


def deliver_some_twice(scene: Scene, count: int = 3) -> None:
    """Messages that wait are put into their queue a second time, as they are."""
    redis = scene.servers.redis.client()
    with suppress(RedisError):
        for queue in ("features", "classify", "training"):
            for _ in range(count):
                raw = redis.lindex(queue, random.randrange(50))
                if raw is not None:
                    redis.lpush(queue, raw)
                    scene.times += 1
