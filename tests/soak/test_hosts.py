"""Pools on several hosts, with Redis and S3 on others, while the network between them fails.

`make hosts` sends 5,000 tasks; the short form some hundred. Where network namespaces are not
allowed, it is skipped.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from redis import Redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.broker.queue_depths import queue_depths
from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.demo.processes import process
from spacer_tasks.demo.seaweedfs import (
    PORT_COUNT,
    weed_environment,
    weed_options,
    weed_program,
    weed_sockets,
)
from spacer_tasks.demo.services import S3Server, _redis_program, _takes_objects, free_ports
from spacer_tasks.exceptions import BrokerUnavailableError
from spacer_tasks.results import answer_location, find_answer
from tests.support.checkout import CHECKOUT
from tests.support.messages.work import ANSWERED, Sent, Work, check_whole
from tests.support.network.hosts import FAKETIME, Host, network, not_allowed
from tests.support.sending import empty_queues
from tests.support.settings import settings_in_environment
from tests.support.waiting import wait_until
from tests.support.workers import START_S, check_threads

#: tasks; 5,000 in `make hosts`
TASKS = int(os.environ.get("TEST_HOSTS_TASKS", "100"))
#: of these a trainer is needed by none
KINDS = ("extract", "extract", "classify", "classify_image", "job")
#: seconds that a message takes to the far host, and back again
FAR_S = 0.1
#: share of packets to and from the far host that vanish
LOST = 0.05
#: seconds; each cut is longer than a worker is silent, so that its tasks go to others
SILENT_S, CUT_S = 5, 9
CLOCK_S = 600
#: tasks that may be unanswered when the next round of cuts begins
LEFT = 100
BUCKET = "hosts"
RELAY_PORT = 7000


@dataclass(frozen=True)
class Scene:
    """The hosts, and what runs on them."""

    redis: Host
    s3: Host
    near: Host
    far: Host
    router: Host
    client: Redis


@pytest.fixture(scope="module", autouse=True)
def allowed() -> None:
    if reason := not_allowed():
        pytest.skip(reason)


@contextmanager
def scene(folder: Path, clocks: dict[str, int]) -> Iterator[Scene]:
    """Redis, S3, and two hosts with workers, of which one is far away."""
    with ExitStack() as stack:
        net = stack.enter_context(network())
        redis, s3, near, far, router = map(net.add, ("redis", "s3", "near", "far", "router"))
        password = secrets.token_hex(8)
        config = folder / "redis.conf"
        config.write_text(f'bind 0.0.0.0\nrequirepass {password}\nsave ""\nappendonly no\n')
        client = Redis(host=redis.address, password=password, socket_timeout=5)
        stack.enter_context(
            process(
                redis.command(_redis_program(), config),
                log_path=folder / "redis.log", cwd=folder, ready=lambda: _pings(client),
            )
        )  # fmt: skip
        server = stack.enter_context(_s3_on(s3, folder))
        port = server.endpoint_url.rpartition(":")[2]
        stack.enter_context(
            process(
                router.command(
                    sys.executable, "-m", "tests.support.network.far_away", str(FAR_S),
                    str(RELAY_PORT),
                    f"{redis.address}:6379", f"{s3.address}:{port}",
                ),
                log_path=folder / "relay.log", cwd=CHECKOUT,
                ready=lambda: "ready" in (folder / "relay.log").read_text(),
            )
        )  # fmt: skip
        url = f"redis://:{password}@{redis.address}:6379/0"
        stack.enter_context(settings_in_environment(url, server, BUCKET))
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("NO_PROXY", "*")
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("no_proxy", "*")
        stack.enter_context(empty_queues(url))
        far.drops(LOST)
        started = [
            stack.enter_context(
                _worker(host, kind, name, to_redis, to_s3, folder, clocks.get(name, 0))
            )
            for host, name, to_redis, to_s3 in (
                (near, "near", url, server.endpoint_url),
                (
                    far, "far",
                    f"redis://:{password}@{router.address}:{RELAY_PORT}/0",
                    f"http://{router.address}:{RELAY_PORT + 1}",
                ),
            )
            for kind in ("feature", "classify")
        ]  # fmt: skip
        # side by side: each takes as long as torch does to be imported
        for hostname in started:
            wait_until(partial(_answers, hostname), START_S, f"{hostname} does not start")
        yield Scene(redis, s3, near, far, router, client)


@contextmanager
def _worker(
    host: Host, kind: str, name: str, to_redis: str, to_s3: str, folder: Path, clock_s: int
) -> Iterator[str]:
    """Its name; it may still be on its way up."""
    hostname = f"{kind}.{name}@hosts"
    program = [f"workers.{kind}_worker"]
    if clock_s:
        program.insert(0, "tests.support.network.own_clock")
    with process(
        host.command(
            sys.executable,
            "-m",
            *program,
            "--concurrency=2",
            f"--hostname={hostname}",
        ),
        env={
            **os.environ,
            **host.environment(clock_s),
            "SPACER_BROKER_URL": to_redis,
            "SPACER_S3_ENDPOINT_URL": to_s3,
            "SPACER_WORKER_SILENT_S": str(SILENT_S),
        },
        cwd=CHECKOUT,
        log_path=folder / f"{hostname}.log",
    ):
        yield hostname


@contextmanager
def _s3_on(host: Host, folder: Path) -> Iterator[S3Server]:
    keys = {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(20)}
    config = folder / "s3.json"
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "hosts", "credentials": [keys], "actions": actions}
    config.write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    ports = free_ports(PORT_COUNT)
    options = [
        "-ip.bind=0.0.0.0" if each.startswith("-ip.bind=") else each
        for each in weed_options(folder / "data", config, ports)
    ]
    url = f"http://{host.address}:{ports[-1]}"
    made = S3Server(url, keys["accessKey"], keys["secretKey"], None)  # type: ignore[arg-type]  # not asked for
    client = made.client()
    with process(
        host.command(weed_program(), "-logtostderr=true", "server", *options),
        log_path=folder / "s3.log", cwd=folder, env=weed_environment(folder),
        ready=lambda: _takes_objects(client), ready_timeout_s=180,
    ):  # fmt: skip
        made.create_bucket(BUCKET)
        try:
            yield made
        finally:
            # it makes them for this machine's other programs, and leaves them
            for each in weed_sockets(ports):
                each.unlink(missing_ok=True)


def _answers(hostname: str) -> bool:
    return bool(app.control.ping(destination=[hostname], timeout=2))


def _pings(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except Exception as error:
        raise OSError(str(error)) from error


class Run:
    """Tasks that are sent, and what became of them."""

    def __init__(self, scene: Scene) -> None:
        self._scene, self._work = scene, Work(BUCKET)
        self.sent: dict[str, Sent] = {}
        #: by task, the version of the answer that was seen first
        self.seen: dict[str, str] = {}

    def send(self, count: int) -> None:
        """So many more; a task that Redis did not take is sent again under its id."""
        for _ in range(count):
            number = len(self.sent)
            task_id = f"t-{number}"
            end = time.monotonic() + 120
            while task_id not in self.sent:
                try:
                    kind = KINDS[number % len(KINDS)]
                    self.sent[task_id] = self._work.send(task_id, kind)
                except BrokerUnavailableError:
                    assert time.monotonic() < end
                    time.sleep(0.5)

    def look(self) -> int:
        """Note the answers that came; how many are missing."""
        for task_id in self.sent.keys() - self.seen.keys():
            if version := storage.version(answer_location(task_id)):
                self.seen[task_id] = version
        return len(self.sent) - len(self.seen)

    def wait_for(self, left: int) -> None:
        """Until all are answered but so many."""
        try:
            wait_until(lambda: self.look() <= left, 300 + len(self.sent), "tasks are unanswered")
        except AssertionError:
            print("unanswered:", *sorted(self.sent.keys() - self.seen.keys()))
            print(queue_depths(self._scene.client))
            raise

    def check(self) -> None:
        """Nothing is lost or double, and no worker holds anything."""
        self.wait_for(0)
        client = self._scene.client
        pools = [Keys.of(name) for name in ("features", "classify")]

        def settled() -> bool:
            waiting = any(depth.waiting for depth in queue_depths(client).values())
            return not waiting and not any(client.hlen(each.unacked) for each in pools)

        wait_until(settled, 180, "messages are left")
        for task_id, sent in self.sent.items():
            answer = find_answer(task_id)
            assert answer is not None
            assert answer.ok, answer.error
            assert storage.version(answer_location(task_id)) == self.seen[task_id]
            for output in sent.outputs:
                check_whole(output)
            assert app.AsyncResult(task_id).state == "SUCCESS"
        told = [json.loads(raw)["headers"] for raw in client.lrange(ANSWERED, 0, -1)]
        heard = Counter(headers["parent_id"] for headers in told)
        assert set(heard) == set(self.sent)
        workers = Counter(str(find_answer(each).worker) for each in list(self.sent)[:500])  # type: ignore[union-attr]
        repeated = sum(count > 1 for count in heard.values())
        print(f"{len(self.sent)} tasks, {repeated} callbacks more than once, {dict(workers)}")
        # both hosts had a part in it
        assert len({each.partition(".")[2] for each in workers}) == 2


def test_whatever_of_the_network_fails_every_task_is_answered_once(tmp_path: Path) -> None:
    clocks = {"near": CLOCK_S, "far": -CLOCK_S} if FAKETIME.exists() else {}
    print(f"clocks: {clocks or 'all the same, there is no libfaketime'}")
    with scene(tmp_path, clocks) as hosts:
        run = Run(hosts)
        rounds = 0
        while len(run.sent) < TASKS:
            many = min(TASKS - len(run.sent), 200)
            rounds += 1
            # the far host is gone; then the hosts see one server each; then Redis is gone
            run.send(many // 4)
            with hosts.far.cut_from():
                run.send(many // 4)
                time.sleep(CUT_S)
            with hosts.near.cut_from(hosts.s3), hosts.router.cut_from(hosts.redis):
                run.send(many // 4)
                time.sleep(CUT_S)
            with hosts.redis.cut_from(hosts.near, hosts.router):
                run.send(many - 3 * (many // 4))
                time.sleep(CUT_S)
            run.wait_for(LEFT)
        print(f"{rounds} rounds of three cuts")
        run.check()
    for log in tmp_path.glob("*@hosts.log"):
        check_threads(log)
