"""The faults: what happens, and how often, while tasks are sent and answered."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from redis.exceptions import RedisError

from spacer_tasks.exceptions import BrokerUnavailableError
from spacer_tasks.execution.cancellation import cancel
from tests.soak.caller import Caller
from tests.soak.servers import Servers
from tests.soak.workers import Workers
from tests.support.redis.durable import DurableRedis
from tests.support.redis.watched import WatchedRedis
from tests.support.s3.faults import ALL, S3Faults

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


def let_a_worker_hang(scene: Scene, seconds: float = 40) -> None:
    """SIGSTOP, with its children: it does nothing and keeps its connections; then it goes on, and
    finds that others have its tasks.
    """
    process = scene.workers.one_of(next(_TURNS))
    if process is not None:
        with scene.event(process.pid):
            scene.workers.pause(process)
        # what it holds is with others before it goes on: that counts from its start
        time.sleep(seconds)
        scene.workers.go_on(process)


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


def promote_the_replica(scene: Scene) -> None:
    """The primary dies, Sentinel puts its replica in its place."""
    redis = scene.servers.redis
    assert isinstance(redis, WatchedRedis)
    with scene.event():
        redis.replace_primary()


def stop_redis(scene: Scene, seconds: float = 30) -> None:
    """Away for half a minute, or longer than a worker's retries of one state."""
    with scene.event():
        _durable(scene).stop()
        time.sleep(seconds)
        _durable(scene).start()


_SIGNALS = itertools.cycle((signal.SIGTERM, signal.SIGKILL))


def restart_redis(scene: Scene) -> None:
    """Stopped, or killed, and started at once."""
    with scene.event():
        _durable(scene).stop(by=next(_SIGNALS))
        _durable(scene).start()


def _durable(scene: Scene) -> DurableRedis:
    assert isinstance(scene.servers.redis, DurableRedis)
    return scene.servers.redis


def cut_connections(scene: Scene) -> None:
    """`CLIENT KILL` of every connection, publishing ones too."""
    client = scene.servers.redis.client()
    with scene.event():
        for kind in ("normal", "pubsub"):
            client.client_kill_filter(_type=kind, skipme=True)


def make_read_only(scene: Scene, seconds: float = 8) -> None:
    """A replica of nothing, for some seconds."""
    client = scene.servers.redis.client()
    with scene.event():
        client.replicaof("127.0.0.1", str(NOWHERE))
        time.sleep(seconds)
        client.replicaof("NO", "ONE")


def fill_its_memory(scene: Scene, seconds: float = 8) -> None:
    """Out of memory for some seconds: it takes no write that needs any."""
    client = scene.servers.redis.client()
    with scene.event():
        client.config_set("maxmemory", "1")
        time.sleep(seconds)
        client.config_set("maxmemory", "0")


def take_s3_away(scene: Scene, seconds: float = 45) -> None:
    """S3 answers nothing but 503 for some time."""
    with scene.event():
        scene.servers.front.set(S3Faults(error_503=1))
        time.sleep(seconds)
        scene.servers.front.set(scene.s3)


def take_s3_away_from_waiting(scene: Scene, seconds: float = 600, waiting: int = 1000) -> None:
    """The same for ten minutes, while a thousand tasks wait."""
    scene.caller.stop()
    with scene.event():
        scene.servers.front.set(S3Faults(error_503=1))
        for _ in range(waiting):
            scene.caller.send("extract")
        time.sleep(seconds)
        scene.servers.front.set(scene.s3)


def kill_a_child(scene: Scene) -> None:
    """SIGKILL of a process that runs tasks for its worker, which starts another."""
    process = scene.workers.one_of(random.choice(("classify", "trainer")))
    if process is None:
        return
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    if children:
        with scene.event(process.pid), suppress(ProcessLookupError):
            os.kill(int(random.choice(children)), signal.SIGKILL)


@contextmanager
def misbehaving_s3(scene: Scene, faults: S3Faults | None) -> Iterator[None]:
    """S3 does these as long as the block."""
    scene.s3 = faults or S3Faults()
    scene.servers.front.set(scene.s3)
    try:
        yield
    finally:
        scene.servers.front.set(S3Faults())


FAULTS = (
    Fault("none", "", 0.06, 5, nothing),
    Fault("a worker is killed (SIGKILL)", "every 6 s", 0.24, 6, kill_a_worker),
    Fault("workers come and go (SIGTERM)", "every 8 s", 0.12, 8, change_the_pool),
    Fault("a worker hangs for 40 s (SIGSTOP)", "every 50 s", 0.12, 50, let_a_worker_hang),
    Fault("a task kills its worker each time", "every 30 s", 0.1, 30, send_a_killer),
    Fault("a task hangs", "every 20 s", 0.08, 20, send_one_that_hangs),
    Fault("a worker's memory passes its limit", "every 12 s", 0.06, 12, send_one_that_grows),
    Fault("tasks and batches are cancelled", "every 2 s or less", 0.06, 1, cancel_one),
    Fault("Redis is stopped for 30 s", "every 75 s", 0.14, 75, stop_redis),
    Fault("Redis is stopped or killed, and restarted", "every 12 s", 0.09, 12, restart_redis),
    Fault("all connections to Redis are cut", "every 5 s", 0.09, 5, cut_connections),
    Fault("Redis is read-only for 8 s", "every 20 s", 0.09, 20, make_read_only),
    Fault("Redis is out of memory for 8 s", "every 20 s", 0.09, 20, fill_its_memory),
    Fault("a worker's child is killed (SIGKILL)", "every 3 s", 0.09, 3, kill_a_child),
    Fault("Redis is stopped for 100 s", "once", 0.08, 1e6, partial(stop_redis, seconds=100)),
    Fault("S3 is away for 45 s", "every 80 s", 0.12, 80, take_s3_away),
    Fault("S3 is away for 10 min, 1,000 tasks wait", "once", 0.01, 1e6, take_s3_away_from_waiting),
    Fault("S3 misbehaves", "one request in six", 0.14, 5, nothing, ALL),
)

#: with a Redis that Sentinel watches
PROMOTION = Fault(
    "the primary Redis is killed when its replica has all, which is promoted",
    "every 40 s",
    0.14,
    40,
    promote_the_replica,
)

#: all of them but the long ones, within half a minute
_ALL_IN_TURN: Iterator[Callable[[Scene], None]] = itertools.cycle(
    (
        kill_a_worker,
        kill_a_worker,
        cut_connections,
        kill_a_worker,
        partial(make_read_only, seconds=3),
        change_the_pool,
        kill_a_child,
        partial(take_s3_away, seconds=3),
        partial(fill_its_memory, seconds=3),
        restart_redis,
        kill_a_worker,
        restart_redis,
    )
)
SHORT = Fault("all", "every 3 s", 1, 3, lambda scene: next(_ALL_IN_TURN)(scene), ALL)
