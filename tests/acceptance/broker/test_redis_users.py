"""The users of deploy/redis-users.acl on a real Redis: what each can do, and what it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import process
from spacer_tasks.demo.services import S3Server
from tests.support.checkout import CHECKOUT
from tests.support.photos import DUMMY, photo
from tests.support.redis.commands import execute
from tests.support.redis.guarded import USERS, Guarded, guarded_redis, program_of
from tests.support.s3.buckets import fresh_bucket
from tests.support.settings import settings_in_environment
from tests.support.waiting import wait_until
from tests.support.workers import START_S

#: seconds for a small task on a busy machine
ANSWER_S = 120


@pytest.fixture(scope="module", params=USERS)
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("redis")
    program = program_of(request.param, folder / "program")
    if program is None:
        pytest.skip("there is no Redis 7 here (Debian: apt-get install redis-tools)")
    with guarded_redis(folder, program, USERS[request.param]) as redis_:
        yield redis_


@pytest.fixture(scope="module")
def place(guarded: Guarded, s3: S3Server) -> Iterator[str]:
    """A bucket; the environment is a worker's."""
    with (
        fresh_bucket(s3) as bucket,
        settings_in_environment(guarded.url("worker"), s3, bucket),
    ):
        yield bucket


@pytest.fixture(scope="module")
def worker(
    place: str, guarded: Guarded, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A worker of each pool, as the user `worker`; the log of the one of features."""
    folder = tmp_path_factory.mktemp("worker")

    def ready(log: Path) -> bool:
        refused = guarded.refused()
        assert refused == []
        return " ready." in log.read_text()

    with ExitStack() as stack:
        for kind in ("trainer", "classify", "feature"):
            log = folder / f"{kind}.log"
            stack.enter_context(
                process(
                    [sys.executable, "-m", f"workers.{kind}_worker", "-c", "2"],
                    env=dict(os.environ),
                    cwd=CHECKOUT,
                    log_path=log,
                    ready=partial(ready, log),
                    ready_timeout_s=START_S,
                )
            )
        yield log


CALL = """
import json, sys
from spacer_tasks.results import load_answer
from spacer_tasks.tasks import extract_features, classify_features
from spacer_tasks.workflows import train_many
sent = extract_features.delay(json.load(sys.stdin))
print(sent.get(timeout=100)["task_id"], sent.state)
load_answer(sent)
"""

COLLECT = """
import json, sys, time
from spacer_tasks.coralnet import CeleryQueue
queue = CeleryQueue()
queue.submit_job({"task_name": "extract_features", "tasks": [json.load(sys.stdin)]}, 7, "medium")
for _ in range(1000):
    returned, statuses = queue.collect_jobs(queue.get_collectable_jobs())
    if returned:
        break
    time.sleep(0.1)
print(statuses, returned[0].ok)
"""


def run_as(user: str, guarded: Guarded, script: str, message: dict[str, Any]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **guarded.environment(user)},
        cwd=CHECKOUT,
        input=json.dumps(message),
        capture_output=True,
        text=True,
        timeout=ANSWER_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{guarded.refused()}"
    return done.stdout


def extraction(bucket: str, name: str) -> dict[str, Any]:
    image = DataLocation.parse(f"s3://{bucket}/{name}.png")
    storage.store(image, photo("sand", 1))
    return {
        "job_token": name,
        "extractor": DUMMY.model_dump(mode="json"),
        "rowcols": [[3, 4]],
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/{name}.npz").model_dump(),
    }


def test_a_caller_sends_and_reads_results(guarded: Guarded, worker: Path, place: str) -> None:
    guarded.refused()
    assert "SUCCESS" in run_as("caller", guarded, CALL, extraction(place, "caller"))
    assert guarded.refused() == []


def test_coralnet_s_queue_class_works_as_a_site(guarded: Guarded, worker: Path, place: str) -> None:
    guarded.refused()
    assert "True" in run_as("site", guarded, COLLECT, extraction(place, "site"))
    assert guarded.refused() == []


BATCH = """
import json, sys
from spacer_tasks.workflows import train_from_images
print(train_from_images.delay(json.load(sys.stdin)).get(timeout=100)["summary"]["classified"])
"""


def test_a_batch_of_a_caller_s_goes_through_the_worker(
    guarded: Guarded, worker: Path, place: str
) -> None:
    guarded.refused()
    entries = []
    for number in range(12):
        label = ("algae", "coral", "sand")[number % 3]
        image = DataLocation.parse(f"s3://{place}/batch/{number}.png")
        storage.store(image, photo(label, number))
        points = [[row, col] for row in (10, 30, 50) for col in (10, 30, 50)]
        what = (
            {"annotations": [[row, col, label] for row, col in points]}
            if number % 5
            else {"rowcols": points}
        )
        feature_loc = DataLocation.parse(f"s3://{place}/batch/{number}.npz")
        entries.append(
            {"image_loc": image.model_dump(), "feature_loc": feature_loc.model_dump(), **what}
        )
    message = {
        "job_token": "batch",
        "extractor": DUMMY.model_dump(mode="json"),
        "images": entries,
        "nbr_epochs": 2,
        "split_mode": "points_stratified",
        "model_loc": DataLocation.parse(f"s3://{place}/model").model_dump(),
        "valresult_loc": DataLocation.parse(f"s3://{place}/val.json").model_dump(),
    }
    assert run_as("caller", guarded, BATCH, message).strip() == "3"
    assert guarded.refused() == []


CANCEL = """
import json, sys, uuid
from spacer_tasks.app import app
from spacer_tasks.execution.cancellation import cancel
from spacer_tasks.exceptions import ConfigError, TaskCancelledError
# that no worker has
task_id = str(uuid.uuid4())
try:
    print(cancel(task_id), cancel(task_id))
    app.AsyncResult(task_id).get(timeout=120)
except (ConfigError, TaskCancelledError) as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("user", ["site", "operator"])
def test_who_may_cancel(guarded: Guarded, place: str, user: str) -> None:
    guarded.refused()
    said = run_as(user, guarded, CANCEL, extraction(place, f"cancel-{user}"))
    assert "True True\nTaskCancelledError" in said
    assert guarded.refused() == []


def test_a_finished_task_is_not_cancelled_by_a_site(
    guarded: Guarded, worker: Path, place: str
) -> None:
    guarded.refused()
    script = (
        CALL + "from spacer_tasks.execution.cancellation import cancel\nprint(cancel(sent.id))\n"
    )
    assert run_as("site", guarded, script, extraction(place, "finished")).endswith("False\n")
    assert guarded.refused() == []


def test_a_caller_is_told_that_it_may_not_cancel(guarded: Guarded, place: str) -> None:
    said = run_as("caller", guarded, CANCEL, extraction(place, "cancel-caller"))
    assert said.startswith("ConfigError the user in SPACER_BROKER_URL may not cancel tasks")
    guarded.refused()


def test_an_operator_sees_the_workers(guarded: Guarded, worker: Path, place: str) -> None:
    guarded.refused()
    printed: list[str] = []

    def seen() -> bool:
        done = subprocess.run(
            [sys.executable, "-m", "spacer_tasks.cli", "status"],
            env={**os.environ, **guarded.environment("operator")},
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
        printed.append(done.stdout + done.stderr)
        return "features@" in done.stdout

    wait_until(seen, ANSWER_S, f"no worker was seen: {printed}")
    assert guarded.refused() == []


#: what nobody of these may, and what callers may not
NOBODY = [
    ("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "GET", "*"), ("CONFIG", "SET", "dir", "/tmp"),
    ("KEYS", "*"), ("SHUTDOWN",), ("ACL", "LIST"), ("SAVE",),
    ("REPLICAOF", "127.0.0.1", "1"), ("MODULE", "LIST"), ("MONITOR",), ("CLIENT", "LIST"),
    ("SELECT", "1"), ("MOVE", "features", "1"), ("COPY", "features", "features2"),
    ("SCRIPT", "FLUSH"), ("SCRIPT", "KILL"), ("RANDOMKEY",), ("SCAN", "0"), ("DBSIZE",),
    ("PUBSUB", "CHANNELS"), ("OBJECT", "ENCODING", "features"), ("PSUBSCRIBE", "*"),
    ("SUBSCRIBE", "another"), ("DUMP", "features"), ("EVAL", "return redis.call('SELECT', 1)", "0"),
    ("SLAVEOF", "NO", "ONE"), ("GET", "another-application"), ("SET", "another-application", "1"),
]  # fmt: skip
CALLERS_NOT = [
    ("SET", "celery-task-meta-1", "{}"), ("DEL", "celery-task-meta-1"), ("DEL", "features"),
    ("RPOP", "features"), ("BRPOP", "features", "1"), ("LPOP", "features"), ("SCAN", "0"),
    ("LTRIM", "features", "1", "0"), ("HGETALL", "unacked.features"), ("RENAME", "features", "x"),
    ("EVAL", "return redis.call('FLUSHALL')", "0"), ("PUBLISH", "celery-task-meta-1", "{}"),
    ("LRANGE", "features", "0", "-1"), ("LINDEX", "features", "-1"),
    ("SADD", "_kombu.binding.features", "x"), ("SMEMBERS", "_kombu.binding.features"),
    ("SADD", "_kombu.binding.reply.celery.pidbox", "x"), ("LPUSH", "celery-task-meta-1", "x"),
    ("SADD", "celery-task-meta-1", "x"), ("LPUSH", "1.reply.celery.pidbox", "x"),
    ("LPUSH", "features.of-mine", "x"), ("PUBLISH", "/0.celeryev/task.sent", "{}"),
    ("PSUBSCRIBE", "celery-task-meta-*"), ("PSUBSCRIBE", "/0.celeryev/*"),
    ("PUBLISH", "/0.celery.pidbox", "{}"),
    ("SUBSCRIBE", "another"), ("PSUBSCRIBE", "*"), ("LPUSH", "another", "x"), ("INFO",),
    ("SET", "spacer-cancelled-1", "1"), ("DEL", "spacer-cancelled-1"),
    # what names one key that is allowed and one that is not
    ("MGET", "celery-task-meta-1", "features"), ("SUBSCRIBE", "celery-task-meta-1", "another"),
    ("RPOPLPUSH", "features", "training"), ("LMOVE", "features", "training", "LEFT", "RIGHT"),
    ("COPY", "features", "training"), ("SORT", "features", "BY", "nosort", "GET", "celery*"),
    ("RESTORE", "celery-task-meta-1", "0", "x"), ("OBJECT", "FREQ", "celery-task-meta-1"),
    ("MIGRATE", "127.0.0.1", "1", "features", "0", "1000"), ("GETEX", "celery-task-meta-1"),
    # what tells of others, stops them, or is told of them
    ("SUBSCRIBE", "__keyspace@0__:features"), ("SUBSCRIBE", "__redis__:invalidate"),
    ("CLIENT", "KILL", "TYPE", "normal"), ("CLIENT", "PAUSE", "1"), ("CLIENT", "TRACKING", "on"),
    ("CLIENT", "UNBLOCK", "1"), ("CLIENT", "REPLY", "OFF"), ("CLIENT", "NO-EVICT", "on"),
    ("PUBSUB", "NUMSUB", "celery-task-meta-1"), ("WAIT", "1", "1"), ("WATCH", "celery-task-meta-1"),
    ("DEBUG", "SLEEP", "0"), ("ACL", "WHOAMI"), ("ACL", "SETUSER", "caller", "+@all"),
    ("SYNC",), ("COMMAND",), ("SLOWLOG", "GET"), ("MEMORY", "USAGE", "features"), ("ROLE",),
]  # fmt: skip


@pytest.mark.parametrize("user", ["caller", "site", "worker", "operator"])
def test_nobody_can_look_after_the_server_or_see_other_keys(guarded: Guarded, user: str) -> None:
    for client in guarded.clients(user):
        for command in NOBODY:
            with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)permission|can.t"):
                execute(client, *command)


def test_callers_can_do_nothing_else(guarded: Guarded) -> None:
    for client in guarded.clients("caller"):
        for command in CALLERS_NOT:
            with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)permission|not allowed"):
                execute(client, *command)


def test_a_site_cannot_order_workers_or_write_results_by_script(guarded: Guarded) -> None:
    client = guarded.client("site")
    for command in [
        ("PUBLISH", "/0.celery.pidbox", "{}"),
        ("RPOP", "features"),
        ("EVAL", "return redis.call('RPOP', KEYS[1])", "1", "features"),
        ("EVAL", "return redis.call('GET', 'another')", "0"),
    ]:
        with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)permission|can.t"):
            execute(client, *command)


def test_nobody_is_let_in_without_a_name(guarded: Guarded) -> None:
    for url in (
        f"redis://127.0.0.1:{guarded.port}/0",
        f"redis://:guess@127.0.0.1:{guarded.port}/0",
    ):
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis.from_url(url).ping()
