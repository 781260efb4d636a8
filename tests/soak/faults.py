"""The faults: what happens, and how often, while tasks are sent and answered."""

from __future__ import annotations

import itertools
import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from redis.exceptions import RedisError

from tests.soak.s3_faults import ALL, S3Faults
from tests.soak.servers import Servers
from tests.soak.workers import Workers

#: hashes of what workers have taken
TAKEN = ("unacked.features", "unacked.training", "unacked.classify")
#: a port on which no Redis listens: a replica of it takes no writes
NOWHERE = 1


@dataclass
class Event:
    """One fault that happened.

    Attributes
    ----------
    over_at
        Seconds since 1970 at which the fault ended: a kill at once, a stop with the next start.
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
    events: list[Event] = field(default_factory=list)

    def held(self, process: int | None = None) -> list[str]:
        """The ids of the tasks that workers hold, or that one worker does."""
        client = self.servers.redis.client()
        ids = []
        with suppress(RedisError):
            for key in TAKEN:
                holders = client.hgetall(f"{key}.holders")
                for tag, value in client.hgetall(key).items():
                    # a worker is called for its host and its process
                    holder = holders.get(tag, b"//").split(b"/")[1]
                    if process is None or holder == str(process).encode():
                        # answers to `inspect` and the like have none
                        ids.append(json.loads(value)[0]["headers"].get("id"))
        return [task_id for task_id in ids if task_id]

    @contextmanager
    def event(self, process: int | None = None) -> Iterator[None]:
        """A fault that lasts as long as the block; of one worker, or of all."""
        held = self.held(process)
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


#: which worker is killed next: feature workers have most tasks
_TURNS = itertools.cycle(("feature", "classify", "feature", "trainer"))


def kill_a_worker(scene: Scene) -> None:
    """SIGKILL, with its children; it is started again as compose does."""
    process = scene.workers.one_of(next(_TURNS))
    if process is not None:
        with scene.event(process.pid):
            scene.workers.kill(process)


def change_the_pool(scene: Scene) -> None:
    """SIGTERM to one, a new one in its place."""
    kind = random.choice(("feature", "classify"))
    process = scene.workers.one_of(kind)
    if process is not None:
        with scene.event(process.pid):
            scene.workers.add(kind)
            scene.workers.remove(process)


def stop_redis(scene: Scene) -> None:
    """Away for half a minute."""
    with scene.event():
        scene.servers.redis.stop()
        time.sleep(30)
        scene.servers.redis.start()


_SIGNALS = itertools.cycle((signal.SIGTERM, signal.SIGKILL))


def restart_redis(scene: Scene) -> None:
    """Stopped, or killed, and started at once."""
    with scene.event():
        scene.servers.redis.stop(by=next(_SIGNALS))
        scene.servers.redis.start()


def cut_connections(scene: Scene) -> None:
    """`CLIENT KILL` of every connection, publishing ones too."""
    client = scene.servers.redis.client()
    with scene.event():
        for kind in ("normal", "pubsub"):
            client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


def make_read_only(scene: Scene, seconds: float = 8) -> None:
    """A replica of nothing, for some seconds."""
    client = scene.servers.redis.client()
    with scene.event():
        client.execute_command("REPLICAOF", "127.0.0.1", str(NOWHERE))
        time.sleep(seconds)
        client.execute_command("REPLICAOF", "NO", "ONE")


def fill_its_memory(scene: Scene, seconds: float = 8) -> None:
    """Out of memory for some seconds: it takes no write that needs any."""
    client = scene.servers.redis.client()
    with scene.event():
        client.config_set("maxmemory", "1")
        time.sleep(seconds)
        client.config_set("maxmemory", "0")


@contextmanager
def misbehaving_s3(scene: Scene, faults: S3Faults | None) -> Iterator[None]:
    """S3 does these as long as the block."""
    scene.servers.front.set(faults or S3Faults())
    try:
        yield
    finally:
        scene.servers.front.set(S3Faults())


FAULTS = (
    Fault("none", "", 0.06, 5, nothing),
    Fault("a worker is killed (SIGKILL)", "every 6 s", 0.24, 6, kill_a_worker),
    Fault("workers come and go (SIGTERM)", "every 8 s", 0.12, 8, change_the_pool),
    Fault("Redis is stopped for 30 s", "every 75 s", 0.14, 75, stop_redis),
    Fault("Redis is stopped or killed, and restarted", "every 12 s", 0.09, 12, restart_redis),
    Fault("all connections to Redis are cut", "every 5 s", 0.09, 5, cut_connections),
    Fault("Redis is read-only for 8 s", "every 20 s", 0.09, 20, make_read_only),
    Fault("Redis is out of memory for 8 s", "every 20 s", 0.09, 20, fill_its_memory),
    Fault("S3 misbehaves", "one request in six", 0.14, 5, nothing, ALL),
)

#: all of them but the long one, within half a minute
_ALL_IN_TURN = itertools.cycle(
    (
        kill_a_worker,
        kill_a_worker,
        cut_connections,
        kill_a_worker,
        partial(make_read_only, seconds=3),
        change_the_pool,
        partial(fill_its_memory, seconds=3),
        restart_redis,
        kill_a_worker,
        restart_redis,
    )
)
SHORT = Fault("all", "every 3 s", 1, 3, lambda scene: next(_ALL_IN_TURN)(scene), ALL)
