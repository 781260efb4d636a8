"""Old objects under the results prefix go, unless something needs them: on S3 and in folders."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from spacer_tasks import results, storage
from spacer_tasks.app import app
from spacer_tasks.broker import refused
from spacer_tasks.broker.contract import QUEUES
from spacer_tasks.broker.refused import Reason, entry_of
from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.execution import dead_letters, lock
from spacer_tasks.jobs.redis_records import COLLECTED, WAITING
from spacer_tasks.jobs.sent import MAILMAN
from spacer_tasks.storage.listing import entries_below
from spacer_tasks.storage.removal import remove_below
from spacer_tasks.tasks import classify_features, extract_features
from spacer_tasks.upkeep.clean import clean
from spacer_tasks.workflows import classify_one, train_on_extracted
from tests.support.command_line import run
from tests.support.messages.in_memory import extraction
from tests.support.redis.celery_parts import backend_of

#: of the objects; the youngest that may go is older than a day
OLD_S = 100 * 86400
#: objects on S3, more than two pages; TEST_OBJECTS=100000 is the whole test
MANY = int(os.environ.get("TEST_OBJECTS", "2100"))
LARGE = b"x" * 70_000


@pytest.fixture
def redis(queue: None) -> Iterator[Redis]:
    client: Redis = Redis.from_url(str(app.conf.broker_url))
    client.flushdb()
    yield client
    client.flushdb()


@pytest.fixture
def prefix(
    redis: Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
) -> Path:
    """A folder as the results prefix."""
    monkeypatch.setenv("SPACER_RESULTS_PREFIX", str(tmp_path / "results"))
    settings_changed()
    return tmp_path / "results"


def old(prefix: Path, *names: str, seconds: float = OLD_S) -> None:
    """Objects that were stored long ago."""
    for name in names:
        path = prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
        os.utime(path, (time.time() - seconds,) * 2)


def names(prefix: Path) -> set[str]:
    return {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if path.is_file()}


def test_what_is_old_goes_and_what_is_young_or_a_site_s_stays(prefix: Path) -> None:
    gone = {
        "answers/a.json", "answers/.b.json.x7k2", "messages/a.json", "batches/a/extract.json",
        "checkpoints/a/0.safetensors", "returns/q.json", "dead_letters/q.json", "probes/host-1",
    }  # fmt: skip
    old(prefix, *gone)
    stays = {"features/a.npz", "answers.json", "classifiers/a.safetensors"}
    old(prefix, *stays)
    old(prefix, "answers/young.json", "batches/young/train.json", seconds=80 * 86400)
    stays |= {"answers/young.json", "batches/young/train.json"}

    dry = run("clean", "--older-than", "90d", "--dry-run")
    assert dry.code == 0
    assert names(prefix) == gone | stays
    assert "8 objects of 40 bytes would be removed." in dry.err
    assert "answers/       2 (10 bytes)      0       1 (5 bytes)" in dry.out
    ran = run("clean", "--older-than", "90d")
    assert "8 objects of 40 bytes removed." in ran.err
    assert names(prefix) == stays
    # no empty folders of batches stay, and no second run finds anything
    assert not (prefix / "batches/a").exists()
    assert "0 objects of 0 bytes removed." in run("clean", "--older-than", "90d").err


def test_what_sqs_may_still_name_stays_for_two_weeks(prefix: Path) -> None:
    old(prefix, "returns/q.json", "answers/q.json", seconds=13 * 86400)
    assert run("clean", "--older-than", "2d").code == 0
    assert names(prefix) == {"returns/q.json"}


def test_nothing_that_a_task_still_needs_goes(prefix: Path, redis: Redis) -> None:
    everything = [
        "waits", "waits-last", "held", "begun", "running", "refused", "dead", "collectable",
        "collected", "mailed", "body", "pointed-at", "a.b.json", "chord",
    ]  # fmt: skip
    for each in everything:
        old(prefix, f"answers/{each}.json", f"messages/{each}.json", f"batches/{each}/train.json")
        old(prefix, f"answers/{each}.extract.7.json", f"checkpoints/{each}/0.safetensors")
    old(prefix, "answers/done.json", "answers/done.extract.1.json", "answers/chord2.json")

    def sent(task_id: str, **options: object) -> None:
        extract_features.apply_async((extraction(),), task_id=task_id, **options)

    sent("waits")
    sent("waits-last", priority=9)
    sent("a.b.json")
    # of a batch, one part is left, and its body somewhere else
    classify_one.apply_async(
        ({"message_loc": results.message_location("pointed-at").model_dump()}, "chord2x", 0, 1),
        task_id="body.classify.0",
    )
    sent("to-be-held", queue="training")
    raw = redis.rpop("training")
    assert isinstance(raw, bytes)
    held = raw.replace(b"to-be-held", b"held")
    redis.hset(Keys.of("features").unacked, "tag", b'[%s, "features", "features"]' % held)
    entry = entry_of(
        raw.replace(b"to-be-held", b"refused"), Reason.AGE, "old", "features", "w", time.time()
    )
    redis.lpush(refused.LIST, entry)
    redis.rpush(lock.keys_of("begun")[1], "{}")
    redis.set(lock.keys_of("running")[0], "w")
    redis.zadd(dead_letters.TIMES, {"dead": time.time()})
    redis.zadd(WAITING, {"collectable": time.time()})
    redis.zadd(COLLECTED, {"collected": time.time()})
    redis.set(f"{MAILMAN}mailed", "{}")
    backend = backend_of(app)
    redis.set(backend.get_key_for_group("chord.extract.0123456789ab", ".s"), 2)
    # this one has sent its body
    redis.set(backend.get_key_for_group("chord2.extract.0123456789ab", ".d"), "done")

    before = names(prefix)
    found = clean(90 * 86400, dry_run=False)
    assert before - names(prefix) == {
        "answers/done.json", "answers/done.extract.1.json", "answers/chord2.json",
    }  # fmt: skip
    assert found["answers"].needed.objects == 2 * len(everything)
    # once nobody needs them they go
    redis.flushdb()
    clean(90 * 86400, dry_run=False)
    assert names(prefix) == set()


def test_a_long_id_is_known_by_its_file(prefix: Path, redis: Redis) -> None:
    name, gone = "a" * 200 + "-" * 55, "b" * 255
    for each in (name, f"{name}.extract.0", gone):
        storage.store(results.answer_location(each), b"{}")
    for path in (prefix / "answers").iterdir():
        os.utime(path, (1, 1))
    redis.rpush(lock.keys_of(name)[1], "{}")
    clean(90 * 86400, dry_run=False)
    left = [results.answer_location(each) for each in (name, f"{name}.extract.0", gone)]
    assert [storage.exists(each) for each in left] == [True, True, False]


@pytest.mark.parametrize("age", ["12h", "86399s"])
def test_an_age_for_which_redis_still_names_the_answers_is_refused(prefix: Path, age: str) -> None:
    old(prefix, "answers/a.json")
    ran = run("clean", "--older-than", age)
    assert ran.code == 2
    assert "SPACER_RESULTS_EXPIRE_S" in ran.err
    assert names(prefix) == {"answers/a.json"}


@pytest.mark.parametrize("age", ["90", "d", "-1d", "1.5d", "90 days", "٣d", ""])
def test_what_is_no_age_is_refused(prefix: Path, age: str) -> None:
    old(prefix, "answers/a.json")
    ran = run("clean", "--older-than", age)
    assert ran.code == 2
    assert names(prefix) == {"answers/a.json"}


def test_while_redis_is_away_nothing_goes(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    old(prefix, "answers/a.json")
    monkeypatch.setenv("SPACER_BROKER_URL", "redis://127.0.0.1:1/0")
    settings_changed()
    ran = run("clean", "--older-than", "90d")
    assert ran.code == 2
    assert "does not answer" in ran.err
    assert names(prefix) == {"answers/a.json"}


def test_links_and_folders_that_look_like_objects_go_as_well(prefix: Path) -> None:
    elsewhere = prefix.parent / "elsewhere"
    elsewhere.write_text("a site's")
    os.utime(elsewhere, (1, 1))
    old(prefix, "answers/c.json/inside")
    link = prefix / "answers" / "b.json"
    link.symlink_to(elsewhere)
    os.utime(link, (1, 1), follow_symlinks=False)
    assert run("clean", "--older-than", "90d").code == 0
    assert list((prefix / "answers").iterdir()) == []
    assert elsewhere.exists()


def test_what_cannot_be_removed_is_named_and_the_rest_goes(prefix: Path) -> None:
    old(prefix, "answers/a.json", "answers/b.json/inside", "answers/c.json")
    stayed = remove_below(
        DataLocation.parse(str(prefix / "answers")), ["a.json", "b.json", "c.json"]
    )
    assert list(stayed) == ["b.json"]
    assert names(prefix) == {"answers/b.json/inside"}


def test_thousands_of_objects_on_s3_are_listed_and_removed_in_pages(
    redis: Redis, bucket: str, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_RESULTS_EXPIRE_S", "1")
    settings_changed()
    with ThreadPoolExecutor(16) as pool:
        list(
            pool.map(lambda n: storage.store(results.answer_location(f"t-{n}"), b"{}"), range(MANY))
        )
    site = DataLocation.parse(f"s3://{bucket}/results/features/a.npz")
    storage.store(site, b"{}")
    redis.rpush(lock.keys_of(f"t-{MANY - 1}")[1], "{}")
    # by the clock of the storage, in whole seconds
    time.sleep(2.5)
    young = results.answer_location("young")
    storage.store(young, b"{}")
    pages: list[int] = []
    started = time.monotonic()
    found = clean(2, dry_run=False, on_page=lambda _, each: pages.append(each.removed.objects))
    print(f"{MANY} objects: {time.monotonic() - started:.1f} s")
    assert found["answers"].removed.objects == MANY - 1
    assert found["answers"].removed.bytes == 2 * (MANY - 1)
    assert (found["answers"].needed.objects, found["answers"].young.objects) == (1, 1)
    assert len(pages) > 2
    left = {each.name for each in entries_below(results.results_location())}
    assert left == {f"answers/t-{MANY - 1}.json", "answers/young.json", "features/a.npz"}


def test_a_body_that_waits_keeps_its_batch(prefix: Path, redis: Redis) -> None:
    old(prefix, "batches/b-1/training.json", "answers/b-1.classify.3.json", "answers/b-2.json")
    train_on_extracted.apply_async(([], {"message_loc": {}}), task_id="b-1", queue=QUEUES[0])
    classify_features.apply_async((extraction_of(),), task_id="b-3")
    clean(90 * 86400, dry_run=False)
    assert names(prefix) == {"batches/b-1/training.json", "answers/b-1.classify.3.json"}


def extraction_of() -> dict[str, object]:
    where = {"storage_type": "memory", "key": "a"}
    return {"job_token": "1", "feature_loc": where, "classifier_loc": where}
