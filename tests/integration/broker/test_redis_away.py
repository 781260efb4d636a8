"""A caller is told that Redis is away or hangs, and sends again when it is back: the first time.

With the newest Celery and redis-py, and with those that CoralNet pins.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from kombu import Connection
from redis import Redis

from spacer_tasks.broker.outages import redis_is_away
from spacer_tasks.demo.services import _redis_program, free_ports
from tests.support.environments.installed import clean_environment, coralnet_python
from tests.support.redis.celery_parts import channel_of
from tests.support.redis.durable import DurableRedis

#: seconds; a caller that hangs is ended by then. Each of its steps takes two at most
HANGS_S = 60
#: seconds; what is promised is two, and a machine may be busy. Celery's own would take nineteen
TOLD_S = 5
#: does what a line of its input says, and says what came of it
CALLER = """
import logging, sys, time
from spacer_tasks.broker.outages import redis_is_away
from spacer_tasks.coralnet import CeleryQueue
from spacer_tasks.exceptions import BrokerUnavailableError
from spacer_tasks.tasks import extract_features

logging.disable()
location = {"storage_type": "filesystem", "key": "a"}
message = {"job_token": "1", "extractor": "dummy", "rowcols": [[1, 2]],
           "image_loc": location, "feature_loc": location}
submitted = 0
every = []

def delay():
    global sent
    sent = extract_features.delay(message)
    every.append(sent)
    return "sent"

def get():
    try:
        sent.get(timeout=4)
    except Exception as error:
        return f"{type(error).__module__}.{type(error).__name__} {redis_is_away(error)}"

def drop():
    global sent
    thrown = []
    sys.unraisablehook = lambda what: thrown.append(type(what.exc_value).__name__)
    sent = None
    while every:
        every.pop()
    return " ".join(["dropped", *thrown])

def submit():
    global submitted
    submitted += 1
    job = {"task_name": "extract_features", "tasks": [message]}
    CeleryQueue().submit_job(job, submitted, "medium")
    return "sent"

def collect():
    jobs = CeleryQueue().get_collectable_jobs()
    return " ".join([str(job.job_id) for job in jobs] + CeleryQueue().collect_jobs(jobs)[1])

def seconds():
    return str(took)

took = passed = 0.0
for line in sys.stdin:
    # of the line before
    began, took = time.monotonic(), passed
    try:
        print(globals()[line.strip()](), flush=True)
    except BrokerUnavailableError as error:
        print("BrokerUnavailableError:", " ".join(str(error).split()), flush=True)
    passed = time.monotonic() - began
"""

Caller = Callable[[str], str]


@contextmanager
def caller(python: Path, url: str, folder: Path, **settings: str) -> Iterator[Caller]:
    """A process that sends and collects, ended if it hangs."""
    env = {
        **clean_environment(),
        "SPACER_BROKER_URL": url,
        "SPACER_RESULTS_PREFIX": str(folder / "results"),
        **settings,
    }
    with subprocess.Popen(
        [python, "-c", CALLER],
        env=env,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def do(what: str) -> str:
            watch = threading.Timer(HANGS_S, process.kill)
            watch.start()
            try:
                stdin.write(what + "\n")
                stdin.flush()
                answer = stdout.readline()
            finally:
                watch.cancel()
            assert answer, f"{what}: it hung, or ended"
            return answer.strip()

        try:
            yield do
        finally:
            process.kill()


def fastest_refusal(do: Caller, what: str) -> float:
    """Seconds until it is told that Redis is away, the fewer of two tries."""
    took = []
    for _ in range(2):
        assert do(what).startswith("BrokerUnavailableError: Redis cannot be reached")
        took.append(float(do("seconds")))
    return min(took)


@contextmanager
def black_hole() -> Iterator[int]:
    """The port of a host that drops every attempt to connect, as a firewall does."""
    with ExitStack() as opened:
        listening = opened.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port: int = listening.getsockname()[1]
        # nobody accepts these, and for more there is no room
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", port), timeout=0.2)
        yield port


@contextmanager
def redis_at_socket() -> Iterator[Path]:
    """The socket of a Redis that has no port."""
    # a socket's path must be shorter than those of pytest's folders
    with TemporaryDirectory() as folder:
        path = Path(folder) / "r.sock"
        command = [str(_redis_program()), "--port", "0", "--unixsocket", str(path), "--save", ""]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                end = time.monotonic() + 30
                while not path.exists():
                    assert time.monotonic() < end, "Redis did not start"
                    time.sleep(0.02)
                yield path
            finally:
                process.terminate()


with_both_versions = pytest.mark.parametrize(
    "python",
    [
        pytest.param(lambda: Path(sys.executable), id="newest"),
        pytest.param(coralnet_python, id="coralnet"),
    ],
)


@with_both_versions
def test_a_caller_is_told_and_the_first_send_to_a_redis_that_is_back_succeeds(
    python: Callable[[], Path], tmp_path: Path
) -> None:
    redis = DurableRedis(tmp_path)
    with caller(python(), redis.url, tmp_path) as do:
        try:
            away = "BrokerUnavailableError: Redis cannot be reached, so the task was not sent:"
            assert do("delay").startswith(away)
            assert str(redis.port) in do("delay")
            assert do("submit").startswith("BrokerUnavailableError: Redis cannot be reached")
            assert do("collect") == ""

            redis.start()
            assert [do("delay"), do("submit")] == ["sent", "sent"]
            for first in ("delay", "submit", "collect"):
                # its connections are cut, and nothing tells it so
                redis.stop()
                redis.start()
                assert do(first) == ("2 3 QUEUED QUEUED" if first == "collect" else "sent")

            redis.pause()
            hangs = "BrokerUnavailableError: Redis cannot be reached, so it is not known whether"
            assert do("delay").startswith(hangs)
            assert fastest_refusal(do, "delay") < TOLD_S
            assert fastest_refusal(do, "submit") < TOLD_S
            assert do("collect") == ""
            redis.go_on()
            assert [do("delay"), do("submit")] == ["sent", "sent"]
            assert do("collect").startswith("2 3 ")
        finally:
            redis.stop()


def test_what_a_caller_that_waits_is_told(tmp_path: Path) -> None:
    redis = DurableRedis(tmp_path)
    redis.start()
    times_out = "celery.exceptions.TimeoutError False"
    with caller(Path(sys.executable), redis.url, tmp_path) as do:
        try:
            assert do("delay") == "sent"
            assert do("get") == times_out
            threading.Timer(1, redis.pause).start()
            assert do("get") == times_out
            assert do("get") == "redis.exceptions.TimeoutError True"
            redis.go_on()
            stopping = threading.Timer(1, redis.stop)
            stopping.start()
            assert do("get") == "builtins.RuntimeError True"
            stopping.join()
            assert do("get") == "redis.exceptions.ConnectionError True"
            redis.start()
            assert do("get") == times_out
        finally:
            redis.stop()


@with_both_versions
def test_a_result_that_is_dropped_while_redis_is_away_says_nothing(
    python: Callable[[], Path], tmp_path: Path
) -> None:
    redis = DurableRedis(tmp_path)
    redis.start()
    with caller(python(), redis.url, tmp_path) as do:
        try:
            for away, back in ((redis.stop, redis.start), (redis.pause, redis.go_on)):
                # who sends listens from then on; a lost connection is noticed at the second command
                assert [do("delay") for _ in range(3)] == ["sent"] * 3
                away()
                assert do("drop") == "dropped"
                assert float(do("seconds")) < TOLD_S
                back()
                assert do("delay") == "sent"
                assert do("get") == "celery.exceptions.TimeoutError False"
        finally:
            redis.stop()


def test_how_long_a_caller_waits_is_a_setting(tmp_path: Path) -> None:
    redis = DurableRedis(tmp_path)
    redis.start()
    took = {}
    try:
        for seconds in ("0.2", "3"):
            settings = {"SPACER_CALLER_TIMEOUT_S": seconds}
            with caller(Path(sys.executable), redis.url, tmp_path, **settings) as do:
                assert do("delay") == "sent"
                redis.pause()
                started = time.monotonic()
                assert do("delay").startswith("BrokerUnavailableError: Redis cannot be reached")
                took[seconds] = time.monotonic() - started
                redis.go_on()
    finally:
        redis.stop()
    assert took["3"] >= 3
    assert took["0.2"] < took["3"]


@with_both_versions
def test_a_caller_is_told_that_nothing_was_sent_to_a_host_that_drops_what_it_gets(
    python: Callable[[], Path], tmp_path: Path
) -> None:
    with black_hole() as port, caller(python(), f"redis://127.0.0.1:{port}/0", tmp_path) as do:
        not_sent = "BrokerUnavailableError: Redis cannot be reached, so the task was not sent:"
        assert do("delay").startswith(not_sent)
        assert do("submit").startswith("BrokerUnavailableError: Redis cannot be reached")
        assert do("collect") == ""


@with_both_versions
def test_a_caller_takes_celerys_urls_of_sockets_and_of_tls(
    python: Callable[[], Path], tmp_path: Path
) -> None:
    with redis_at_socket() as path:
        url = f"redis+socket://{path}?virtual_host=1"
        with caller(python(), url, tmp_path) as do:
            assert [do("delay"), do("submit")] == ["sent", "sent"]
            assert do("collect") == "1 QUEUED"
        sizes = [Redis(unix_socket_path=str(path), db=db).llen("features") for db in (0, 1)]
        assert sizes == [0, 2]
    url = f"rediss://127.0.0.1:{free_ports(1)[0]}/0?ssl_cert_reqs=CERT_REQUIRED"
    with caller(python(), url, tmp_path) as do:
        assert do("delay").startswith("BrokerUnavailableError: Redis cannot be reached")
        assert do("submit").startswith("BrokerUnavailableError: Redis cannot be reached")


def test_a_channel_that_was_closed_under_a_publisher_is_a_redis_that_is_away(
    redis_url: str,
) -> None:
    with Connection(redis_url) as connection:
        channel = channel_of(connection)
    message = channel.prepare_message(b"{}")
    # what Kombu raises when a worker's connection goes while it sends the parts of a batch
    with pytest.raises(AttributeError, match="client") as caught:
        channel.basic_publish(message, exchange="", routing_key="q")
    assert redis_is_away(caught.value)
    nothing: Any = None
    with pytest.raises(AttributeError) as other:
        nothing.client  # noqa: B018 -- a bug of anybody else's
    assert not redis_is_away(other.value)
