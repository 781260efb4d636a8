"""What a run leaves in Redis and under the results prefix has a line in docs/kept.md."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.coralnet import CeleryQueue
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.services import S3Server
from spacer_tasks.execution import dead_letters
from spacer_tasks.execution.cancellation import cancel
from spacer_tasks.mailman import ledger
from spacer_tasks.storage.listing import entries_below
from spacer_tasks.tasks import extract_features, train_classifier
from tests.support.checkout import CHECKOUT
from tests.support.messages.work import Work
from tests.support.photos import DUMMY, photo
from tests.support.redis.own import own_redis
from tests.support.waiting import until
from tests.support.workers import StartWorker, worker_starter

PLUGINS = {
    "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests' / 'plugins'}",
    "SPACER_WORKER_SILENT_S": "2",
    "SPACER_MAX_DELIVERIES": "1",
    "SPACER_CHECKPOINT_EVERY_S": "0.1",
}
#: a line of a table: what is in it, whose it is, what for, and until when
LINE = re.compile(r"^\| (`.+?`) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
UNITS = {"second": 1, "hour": 3600, "day": 86400}


@pytest.fixture(scope="module")
def redis(s3: S3Server, bucket: str) -> Iterator[Redis]:
    """A server of its own: what others leave is not looked at."""
    with own_redis(s3, bucket) as client:
        yield client


@pytest.fixture(scope="module")
def start(redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartWorker]:
    with ExitStack() as stack:
        yield worker_starter(stack, tmp_path_factory.mktemp("workers"))


def table(title: str) -> dict[str, str]:
    """Until when things stay, by what they are called; of one table of the page."""
    page = (CHECKOUT / "docs/kept.md").read_text(encoding="utf-8")
    (section,) = [part for part in page.split("\n## ") if part.startswith(title)]
    found = {}
    for names, _, _, until_when in LINE.findall(section):
        for name in re.findall(r"`([^`]+)`", names):
            found[name] = until_when
    return found


def pattern_of(name: str) -> re.Pattern[str]:
    """What a name of the table stands for; `<…>` is an id, or the like."""
    parts = re.split(r"<([^>]+)>", name)
    texts, names = map(re.escape, parts[::2]), [*parts[1::2], ""]
    stands_for = {"pool": "(features|training|classify)", "": ""}
    return re.compile(
        "".join(text + stands_for.get(each, ".+") for text, each in zip(texts, names, strict=True))
    )


def longest_s(text: str) -> int:
    """The seconds that a line of the table names; the longest, where it names several."""
    return max(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+) (\w+?)s?\b", text))


def message_of(work: Work, kind: str, name: str) -> Any:
    return work.made(kind, name)[1]


def waits_for(redis: Redis) -> Callable[[], bool]:
    return lambda: bool(dead_letters.listed(redis))


@pytest.fixture(scope="module")
def left(redis: Redis, bucket: str, start: StartWorker, tmp_path_factory: Any) -> DataLocation:
    """Everything that can happen to tasks happens; the results prefix."""
    folder: Path = tmp_path_factory.mktemp("scene")
    work = Work(bucket, folder)
    start("feature", "--concurrency=2", **PLUGINS)
    trainer = start("trainer", "--concurrency=1", **PLUGINS)
    classify = start("classify", "--concurrency=1", **PLUGINS)
    for kind in ("extract", "classify", "job", "train", "train_from_images", "train_many"):
        task, message, sent = work.made(kind, f"a-{kind}")
        task.apply_async((message,), task_id=sent.task_id).get(timeout=120)
    # over 64 KiB
    image = DataLocation.parse(f"s3://{bucket}/large.png")
    storage.store(image, photo("sand", 1, 400))
    large = {
        "job_token": "1",
        "extractor": DUMMY.model_dump(),
        "rowcols": [(row, column) for row in range(0, 400, 4) for column in range(0, 400, 2)],
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/large.npz").model_dump(),
    }
    with pytest.raises(Exception, match="SPACER_MAX_POINTS_PER_IMAGE"):
        extract_features.apply_async((large,), task_id="a-large").get(timeout=120)
    # CoralNet's, handed out and not; and a mailman's
    jobs = CeleryQueue()
    jobs.submit_job(message_of(work, "job", "a-job-of-coralnet"), 1, "medium")
    until(lambda: bool(jobs.collect_jobs(jobs.get_collectable_jobs())[0]), "it was not collected")
    ledger.note_sent("of-sqs", "extract_features", "features")
    ledger.claim_answer("of-sqs", "a mailman")
    ledger.unreadable_for("of-sqs")
    # one that ends its worker, whose start is not tried again
    kills = message_of(work, "kills", "a-deadly-one")
    extract_features.apply_async((kills,), task_id="a-deadly-one")
    until(lambda: any((folder / "a-deadly-one").iterdir()), "it was not begun")
    start("feature", "--concurrency=1", name="second", **PLUGINS)
    until(waits_for(redis), "it was not given up")
    # a training whose worker is killed after an epoch, and which is cancelled then
    slow = {**message_of(work, "train", "a-slow-one"), "nbr_epochs": 100_000}
    starts = folder / "slow"
    (folder / "slow-epochs").mkdir()
    starts.mkdir()
    slow["trainer"] = {"class_path": "faulty", "folder": str(starts), "epoch_s": 0.1}
    train_classifier.apply_async((slow,), task_id="a-slow-one")
    until(lambda: len(list((folder / "slow-epochs").iterdir())) > 3, "no epochs were done")
    trainer.popen.send_signal(signal.SIGKILL)
    cancel("a-slow-one")
    # a batch that waits for its parts
    start("feature", "--concurrency=1", name="third", **PLUGINS)
    task, message, sent = work.made("train_many", "a-batch-that-waits")
    task.apply_async((message,), task_id=sent.task_id)
    until(lambda: redis.llen("training") >= 3, "its parts were not sent")
    # nonsense, and a task that nobody knows
    redis.lpush("classify", b"no JSON")
    app.send_task("spacer_tasks.of_tomorrow", queue="classify", task_id="of-tomorrow")
    until(lambda: redis.llen("spacer-unreadable") == 2, "they were not refused")
    classify.popen.send_signal(signal.SIGKILL)
    train_classifier.apply_async((message_of(work, "train", "late"),), priority=6)
    app.control.inspect(timeout=0.5).ping()
    return DataLocation.parse(f"s3://{bucket}/results")


def test_every_key_in_redis_has_a_line_and_an_end(left: DataLocation, redis: Redis) -> None:
    lines = {pattern_of(name): when for name, when in table("In Redis").items()}
    without, wrong = [], []
    for key in sorted(each.decode().partition("\x06")[0] for each in redis.scan_iter()):
        found = [when for pattern, when in lines.items() if pattern.fullmatch(key)]
        if not found:
            without.append(key)
            continue
        when = found[0]
        ttl = redis.ttl(key)
        if (ttl < 0) != when.startswith("stays") or (ttl > 0 and ttl > longest_s(when)):
            wrong.append(f"{key}: {ttl} s, the page says {when!r}")
    assert (without, wrong) == ([], [])


def test_every_object_has_a_line(left: DataLocation) -> None:
    lines = [pattern_of(name) for name in table("Under the results prefix")]
    names = [entry.name for entry in entries_below(left)]
    assert [name for name in names if not any(line.fullmatch(name) for line in lines)] == []
    kinds = {name.partition("/")[0] for name in names}
    assert kinds == {"answers", "messages", "batches", "checkpoints"}
