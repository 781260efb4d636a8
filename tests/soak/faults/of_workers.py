"""What happens to workers."""

from __future__ import annotations

import itertools
import os
import random
import secrets
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from spacer_tasks.broker import refused
from spacer_tasks.worker.delivery.gate import IN_A_ROW
from tests.soak.faults.scene import Scene

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


def kill_a_child(scene: Scene) -> None:
    """SIGKILL of a process that runs tasks for its worker, which starts another."""
    process = scene.workers.one_of(random.choice(("classify", "trainer")))
    if process is None:
        return
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    if children:
        with scene.event(process.pid), suppress(ProcessLookupError):
            os.kill(int(random.choice(children)), signal.SIGKILL)


def kill_all(scene: Scene) -> None:
    """SIGKILL of all at the same moment, as when their host loses power."""
    with scene.event():
        for process in scene.workers.running():
            scene.workers.kill(process)


def end_a_worker_at_once(scene: Scene) -> None:
    """SIGQUIT: it ends without waiting for what it has in hand."""
    process = scene.workers.one_of(next(_TURNS))
    if process is not None:
        with scene.event(process.pid):
            process.send_signal(signal.SIGQUIT)


_TWINS = itertools.count()


def start_two_of_one_name(scene: Scene) -> None:
    """In the same second: one ends at once, the other works until it is told to stop."""
    name = f"twin{next(_TWINS)}"
    twins = [scene.workers.stranger("classify", name) for _ in range(2)]
    end = time.monotonic() + 60
    while time.monotonic() < end and all(twin.poll() is None for twin in twins):
        time.sleep(0.5)
    left = [twin for twin in twins if twin.poll() is None]
    # two that both run do no harm to tasks, but then it was not this fault
    scene.times += len(left) < len(twins)
    for twin in left:
        scene.workers.remove(twin)


#: of workers that judge otherwise than the others
_STRANGERS = itertools.count()
#: a worker's own clock, days ahead: signatures are too old by it, and so is what others hold
_AHEAD = """
import sys, time
true = time.time
time.time = lambda: true() + 8 * 86400
from spacer_tasks.worker.start import main
main("features", sys.argv[1:], config_module="celeryconfig")
"""


def start_one_with_another_key(scene: Scene) -> None:
    """It refuses what the others take, until it takes no more; then all is put back."""
    name = f"stranger{next(_STRANGERS)}"
    _refuses(
        scene,
        scene.workers.stranger("feature", name, SPACER_SIGNING_KEYS=secrets.token_hex(20)),
    )


def start_one_with_another_clock(scene: Scene) -> None:
    """The same with a clock that is eight days ahead."""
    name = f"stranger{next(_STRANGERS)}"
    _refuses(scene, scene.workers.stranger("feature", name, code=_AHEAD))


def _refuses(scene: Scene, stranger: subprocess.Popen[bytes], seconds: float = 60) -> None:
    redis = scene.servers.redis.client()
    before = sum(refused.counts(redis).values())
    end = time.monotonic() + seconds
    while time.monotonic() < end and sum(refused.counts(redis).values()) < before + IN_A_ROW:
        time.sleep(0.2)
    with scene.event(stranger.pid):
        scene.workers.kill(stranger)
        for each in refused.listed(redis):
            if not each.reason.of_the_message:
                refused.requeue(redis, each)
    # it refused some
    scene.times -= sum(refused.counts(redis).values()) == before
