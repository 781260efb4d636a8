"""What happens to Redis."""

from __future__ import annotations

import itertools
import signal
import time
from typing import Any

from redis import Redis

from tests.soak.faults.scene import Scene
from tests.support.redis.durable import DurableRedis
from tests.support.redis.watched import WatchedRedis

#: a port on which no Redis listens: a replica of it takes no writes
NOWHERE = 1


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


def let_redis_hang(scene: Scene, seconds: float = 20) -> None:
    """SIGSTOP: it takes connections and answers nothing."""
    with scene.event():
        _durable(scene).pause()
        time.sleep(seconds)
        _durable(scene).go_on()


def hold_back_writes(scene: Scene, seconds: float = 8) -> None:
    """`CLIENT PAUSE`: what writes is answered only afterwards, as while a replica is promoted."""
    client = scene.servers.redis.client()
    with scene.event():
        _ask(client, "CLIENT", "PAUSE", round(seconds * 1000), "WRITE")
        time.sleep(seconds)


def forbid_scripts(scene: Scene, seconds: float = 8) -> None:
    """Users of Redis may not run scripts for a while: somebody edits its rights."""
    client = scene.servers.redis.client()
    with scene.event():
        _ask(client, "ACL", "SETUSER", "default", "-@scripting")
        time.sleep(seconds)
        _ask(client, "ACL", "SETUSER", "default", "+@all")


def forget_scripts(scene: Scene) -> None:
    """`SCRIPT FLUSH`: each is sent again with its text."""
    with scene.event():
        scene.servers.redis.client().script_flush()


def restart_redis_and_kill_workers(scene: Scene) -> None:
    """All on one machine that is restarted."""
    with scene.event():
        _durable(scene).stop(by=signal.SIGKILL)
        for process in scene.workers.running():
            scene.workers.kill(process)
        _durable(scene).start()


def _ask(client: Redis, *command: object) -> None:
    # untyped in redis-py
    execute: Any = client.execute_command
    execute(*command)
