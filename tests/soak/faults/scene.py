"""What faults work on, and what one of them is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from tests.soak.caller import Caller
from tests.soak.servers import Servers
from tests.soak.workers import Workers
from tests.support.s3.faults import S3Faults

#: hashes of what workers have taken
TAKEN = ("unacked.features", "unacked.training", "unacked.classify")


@dataclass
class Event:
    """One fault that happened.

    Attributes
    ----------
    over_at
        Seconds since 1970 at which the fault ended: a kill at once, a stop with the next start. Of
        a worker that hangs, when it began: its tasks need not wait for its end.
    held
        The tasks that it hit: what the worker that is killed had taken, or all workers.
    """

    over_at: float
    held: list[str]


@dataclass
class Scene:
    """What faults work on, and what they did."""

    servers: Servers
    workers: Workers
    caller: Caller
    events: list[Event] = field(default_factory=list)
    #: how often the fault happened
    times: int = 0
    #: what S3 does when it is not away
    s3: S3Faults = field(default_factory=S3Faults)

    def held(self, process: int | None = None) -> list[str]:
        """The ids of the tasks that workers hold, or that one worker does."""
        client = self.servers.redis.client()
        ids = []
        with suppress(RedisError):
            for key in TAKEN:
                holders = client.hgetall(f"{key}.holders")
                for tag, value in client.hgetall(key).items():
                    # a worker is called for its host and its process
                    holder = holders.get(tag, b"//")
                    assert isinstance(holder, bytes)
                    if process is None or holder.split(b"/")[1] == str(process).encode():
                        # answers to `inspect` and the like have none
                        ids.append(json.loads(value)[0]["headers"].get("id"))
        return [task_id for task_id in ids if task_id]

    @contextmanager
    def event(self, process: int | None = None) -> Iterator[None]:
        """A fault that lasts as long as the block; of one worker, or of all."""
        held = self.held(process)
        self.times += 1
        yield
        self.events.append(Event(time.time(), held))


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes
    ----------
    name, often
        As in the table.
    share
        Of the run's time.
    every_s
        Seconds between two.
    once
        Does it once.
    s3
        What S3 does all along.
    """

    name: str
    often: str
    share: float
    every_s: float
    once: Callable[[Scene], None]
    s3: S3Faults | None = None

    def go_on(self, scene: Scene, seconds: float) -> None:
        """Again and again, for so long."""
        now = time.monotonic()
        # once at least, however short the time is
        end, turn = now + seconds, now + min(self.every_s / 2, seconds / 3)
        while turn < end:
            time.sleep(max(0, turn - time.monotonic()))
            self.once(scene)
            turn = max(turn + self.every_s, time.monotonic())
        time.sleep(max(0, end - time.monotonic()))


def nothing(scene: Scene) -> None:
    """No fault."""
