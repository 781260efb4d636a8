"""A task runs once at a time; who lost it to another worker stores nothing."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from spacer_tasks import operations, results, retries, storage
from spacer_tasks.app import app
from spacer_tasks.broker.queue_depths import queue_depths
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import RunningElsewhere, TaskCancelledError
from spacer_tasks.execution import lock as running_lock
from spacer_tasks.execution import lock_renewal
from spacer_tasks.execution.lock import FRESH_S, Running, running
from spacer_tasks.results import find_answer, load_answer, store_answer
from spacer_tasks.storage.s3 import client
from spacer_tasks.tasks import extract_features
from tests.support.photos import photo
from tests.support.waiting import wait_until

#: where Kombu keeps what a worker of this process has taken
UNACKED = "unacked"


@pytest.fixture
def redis(
    queue: None,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
) -> Redis:
    monkeypatch.setenv("SPACER_WORKER_SILENT_S", "2")
    settings_changed()
    # one of a test before may sleep for as long as the setting said then
    monkeypatch.setattr(lock_renewal, "_keepers", {})
    return Redis.from_url(redis_url)


@pytest.fixture
def worker(redis: Redis) -> Iterator[None]:
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        yield


@pytest.fixture
def message(bucket: str, settings_env: dict[str, str]) -> dict[str, Any]:
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))
    return {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 8},
        "rowcols": [[3, 4]],
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/a.npz").model_dump(),
    }


def nothing_in_hand(redis: Redis) -> bool:
    """Whether no task waits in a queue or is taken and not acknowledged."""
    waiting = any(depth.waiting for depth in queue_depths(redis).values())
    return not waiting and not redis.hlen(UNACKED)


def elsewhere(task_id: str) -> Running:
    """The same task at another worker."""
    lock = Running(task_id, f"other/{time.time()}")
    running_lock._begin(lock)
    return lock


def test_a_lock_is_renewed_while_the_task_runs_and_free_afterwards(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    # a busy machine may hold up the thread that renews for a second or two
    monkeypatch.setenv("SPACER_WORKER_SILENT_S", "4")
    settings_changed()
    with running("renewed"):
        for _ in range(10):
            # longer than it lasts without renewal
            time.sleep(0.5)
            with pytest.raises(RunningElsewhere, match="renewed runs at"):
                elsewhere("renewed")
    elsewhere("renewed")


def test_the_lock_of_a_worker_that_died_lapses(redis: Redis) -> None:
    elsewhere("lapses")
    with pytest.raises(RunningElsewhere), running("lapses"):
        pass
    wait_until(lambda: not redis.exists("spacer-task:lapses:lock"), 60, "it did not lapse")
    with running("lapses") as lock:
        assert len(lock.starts) == 2


def test_who_lost_a_task_is_told(redis: Redis) -> None:
    with running("lost") as lock:
        lock.check()
        # as when it was cut off for so long that it lapsed, and another took it
        redis.delete("spacer-task:lost:lock")
        elsewhere("lost")
        lock.renewed_at = -math.inf
        with pytest.raises(RunningElsewhere, match="taken over"):
            lock.check()
    # and leaves the other's lock and starts alone
    with pytest.raises(RunningElsewhere), running("lost"):
        pass


def test_a_lock_that_was_just_taken_is_not_asked_for(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(running_lock.Running, "renew", lambda lock, _: asked.append(lock))
    with running("fresh") as lock:
        lock.check()
        assert not asked
        lock.renewed_at -= FRESH_S
        lock.check()
        assert asked == [lock]


def test_a_lock_is_not_renewed_after_its_end(redis: Redis) -> None:
    with running("over") as lock:
        pass
    # by the thread that renews all, which had it in hand
    lock.renew(redis)
    assert not redis.exists("spacer-task:over:lock")


def test_a_lock_that_redis_forgot_is_taken_again(redis: Redis) -> None:
    with running("forgotten") as lock:
        redis.delete("spacer-task:forgotten:lock")
        lock.renewed_at = -math.inf
        lock.check()
        with pytest.raises(RunningElsewhere):
            elsewhere("forgotten")


@pytest.fixture
def two_with_one_start_left(redis: Redis) -> tuple[str, str]:
    for name in ("suspect", "neighbour"):
        for _ in range(2):
            elsewhere(name)
            redis.delete(f"spacer-task:{name}:lock")
    return "suspect", "neighbour"


class NotedLock:
    """A lock that tells when somebody waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.waited_for = threading.Event()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As a lock's."""
        if blocking:
            self.waited_for.set()
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """As a lock's."""
        self._lock.release()


def test_of_the_tasks_with_one_start_left_one_runs_at_a_time(
    two_with_one_start_left: tuple[str, str], redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []
    turn = NotedLock()
    monkeypatch.setattr(running_lock, "_LAST_START", turn)

    def neighbour() -> None:
        with running("neighbour") as lock:
            order.append(f"neighbour, start {len(lock.starts)}")

    with running("suspect") as suspect:
        assert len(suspect.starts) == 3
        waiting = threading.Thread(target=neighbour)
        waiting.start()
        with running("new"):
            assert turn.waited_for.wait(30)
        # a worker that ends now does not count as one more start of the neighbour's
        assert redis.llen("spacer-task:neighbour:starts") == 2
        order.append("suspect")
    waiting.join()
    assert order == ["suspect", "neighbour, start 3"]


def test_who_waits_too_long_for_its_turn_goes_back(
    two_with_one_start_left: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "TURN_S", 0.1)
    with (
        running("suspect"),
        pytest.raises(RunningElsewhere, match="has one start left"),
        running("neighbour"),
    ):
        pass
    # and what was held is free again
    with running("neighbour") as neighbour:
        assert len(neighbour.starts) == 3


def test_a_start_that_is_taken_back_does_not_count(redis: Redis) -> None:
    with running("stopped") as lock:
        assert len(lock.starts) == 1
        running_lock.take_back(redis, ["stopped"])
    with running("stopped") as lock:
        assert len(lock.starts) == 1


def test_a_task_may_have_an_answer_after_any_end_of_a_start(redis: Redis) -> None:
    asked: list[str] = []

    def begun(name: str) -> bool:
        """Whether it is taken for one that was never begun."""
        with running(name, (), lambda: asked.append(name)) as lock:
            return lock.first

    assert begun("answered")
    assert asked == []
    assert not begun("answered")
    # its worker was told to stop, perhaps just after it had stored the answer
    with running("stopped-late"):
        running_lock.take_back(redis, ["stopped-late"])
        redis.delete("spacer-task:stopped-late:lock")
    assert not begun("stopped-late")
    # its worker was killed
    elsewhere("killed")
    redis.delete("spacer-task:killed:lock")
    assert not begun("killed")
    # Redis forgot the lock, or all
    with running("forgotten-lock"):
        redis.delete(*running_lock.keys_of("forgotten-lock"))
    assert not begun("forgotten-lock")
    assert asked == ["answered", "stopped-late", "killed", "forgotten-lock"]
    running_lock.forget_starts("killed")
    assert begun("killed")


def test_who_holds_a_task_that_has_an_answer_is_not_waited_for(redis: Redis) -> None:
    # as when it was killed before it could let go
    elsewhere("answered-and-held")
    stored = store_answer("answered-and-held", "a task", None, answer={"runtime": 1})
    with running("answered-and-held", (), lambda: find_answer("answered-and-held")) as lock:
        assert lock.answer == stored
    # what is the other's stays
    assert redis.exists("spacer-task:answered-and-held:lock")


def test_a_cancelled_task_is_not_begun(redis: Redis) -> None:
    redis.set("a mark", 1)
    with pytest.raises(TaskCancelledError), running("cancelled", ("no mark", "a mark")):
        pass
    redis.delete("a mark")
    assert not redis.exists("spacer-task:cancelled:lock", "spacer-task:cancelled:starts")


@pytest.mark.usefixtures("worker")
def test_an_extraction_asks_storage_three_times(message: dict[str, Any]) -> None:
    requests: list[str] = []

    def note(request: Any, **_: Any) -> None:
        requests.append(request.method)

    events = client().meta.events
    events.register("before-send.s3", note)
    extract_features.delay(message).get(timeout=60)
    # the image, its features, the answer
    assert requests == ["GET", "PUT", "PUT"]
    features = ImageFeatures.from_bytes(
        storage.load(DataLocation(**message["feature_loc"])), "its features"
    )
    version = storage.version(DataLocation(**message["image_loc"]))
    assert features.origin["image_version"] == version
    events.unregister("before-send.s3", note)


@pytest.mark.usefixtures("worker")
def test_after_a_wipe_of_redis_the_first_answer_is_still_the_one(
    redis: Redis, message: dict[str, Any]
) -> None:
    first = extract_features.apply_async((message,), task_id="wiped").get(timeout=60)
    stored = find_answer("wiped")
    wait_until(lambda: nothing_in_hand(redis), 60, "the message is still at the worker")
    redis.delete("celery-task-meta-wiped", *running_lock.keys_of("wiped"))
    # sent again by a caller who has no answer: it is computed again, and that is not seen
    again = extract_features.apply_async((message,), task_id="wiped").get(timeout=60)
    assert again == first
    assert find_answer("wiped") == stored


@pytest.mark.usefixtures("worker")
def test_a_second_delivery_waits_for_the_first_and_takes_its_answer(
    redis: Redis, message: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    real = operations.extract_features

    def slow(msg: Any) -> Any:
        calls.append(msg)
        # longer than a lock lasts without renewal
        time.sleep(3)
        return real(msg)

    monkeypatch.setattr(operations, "extract_features", slow)
    sent = [extract_features.apply_async((message,), task_id="pair") for _ in range(2)]
    assert sent[0].get(timeout=60) == sent[1].get(timeout=60)
    wait_until(lambda: nothing_in_hand(redis), 60, "the second delivery is still at the worker")
    assert len(calls) == 1


@pytest.mark.usefixtures("worker")
def test_a_worker_that_lost_its_task_stores_no_answer(
    redis: Redis,
    message: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "spacer_tasks.execution.retries")
    real = operations.extract_features
    tries: list[Any] = []

    def loses(msg: Any) -> Any:
        tries.append(msg)
        if len(tries) == 1:
            redis.delete("spacer-task:loser:lock")
            elsewhere("loser")
            lock = running_lock.current()
            assert lock is not None
            lock.renewed_at = -math.inf
        return real(msg)

    monkeypatch.setattr(operations, "extract_features", loses)
    sent = extract_features.apply_async((message,), task_id="loser")
    wait_until(lambda: "looked at again in" in caplog.text, 60, "the task did not stand aside")
    assert find_answer("loser") is None
    assert not storage.exists(DataLocation(**message["feature_loc"]))
    # it stood aside, and goes on when the other's lock has lapsed
    assert sent.get(timeout=60)
    assert load_answer("loser")


@pytest.mark.usefixtures("worker")
def test_a_repeat_of_what_the_caller_has_sends_no_second_callback(
    redis: Redis, message: dict[str, Any]
) -> None:
    extract_features.apply_async((message,), task_id="once").get(timeout=60)
    link = extract_features.signature((message,)).set(task_id="linked")
    extract_features.apply_async((message,), task_id="once", link=link)
    wait_until(lambda: nothing_in_hand(redis), 60, "the repeat is still at the worker")
    assert find_answer("linked") is None


def lapsed(lock: Running, redis: Redis) -> None:
    """What a worker finds that was suspended for longer than its lock lasts."""
    redis.delete(f"spacer-task:{lock.task_id}:lock")
    lock.renewed_at = -math.inf


def answered(task_id: str) -> None:
    results.store_answer(task_id, "spacer_tasks.extract_features", "other", answer={})


def test_a_task_that_another_finished_is_not_taken_again(redis: Redis, bucket: str) -> None:
    with running("slept") as lock:
        lapsed(lock, redis)
        with running("slept"):
            answered("slept")
        with pytest.raises(RunningElsewhere, match="taken over"):
            lock.check()
        assert redis.exists("spacer-task:slept:lock") == 0
        # and this stays so, whatever becomes of the lock
        with pytest.raises(RunningElsewhere, match="taken over"):
            lock.check()


def test_a_task_that_another_gave_back_is_taken_again(redis: Redis, bucket: str) -> None:
    with running("slept") as lock:
        lapsed(lock, redis)
        with running("slept"):
            """a transient error, for example: no answer"""
        assert lock.check() is False
        assert redis.exists("spacer-task:slept:lock") == 1
        assert lock.check() is True


def test_a_task_that_another_began_since_is_lost_also_when_the_others_lock_lapsed(
    redis: Redis, bucket: str
) -> None:
    with running("slept") as lock:
        lapsed(lock, redis)
        lapsed(elsewhere("slept"), redis)
        with pytest.raises(RunningElsewhere, match="taken over"):
            lock.check()


def test_a_lock_that_lapsed_without_another_start_is_taken_again(redis: Redis) -> None:
    with running("slept") as lock:
        lapsed(lock, redis)
        assert lock.check() is True
        with pytest.raises(RunningElsewhere, match="slept runs at"):
            elsewhere("slept")


def test_the_thread_that_renews_takes_no_finished_task_again(redis: Redis, bucket: str) -> None:
    with running("slept") as lock:
        lapsed(lock, redis)
        with running("slept"):
            answered("slept")
        lock.renew(redis)
        assert redis.exists("spacer-task:slept:lock") == 0


def test_a_worker_that_slept_asks_the_storage_while_redis_is_away(
    redis: Redis, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Redis:
        raise RedisConnectionError("away")

    answered("slept")
    monkeypatch.setattr(running_lock, "worker_redis", away)
    with pytest.raises(RunningElsewhere, match="taken over"):
        Running("slept", "me/1").check()
    # nobody has finished this one
    assert Running("other", "me/2").check() is False


@pytest.mark.usefixtures("worker")
def test_what_a_newer_task_wrote_stays_when_a_worker_wakes(
    redis: Redis, message: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = operations.extract_features
    place = DataLocation(**message["feature_loc"])
    newer: list[bytes] = []

    def others() -> None:
        with running("older"):
            answered("older")
        storage.store(place, b"newer")

    def sleeps(msg: Any) -> Any:
        """Suspended before it stores; another worker finishes it, and a newer task writes."""
        lock = running_lock.current()
        assert lock is not None
        if not newer:
            lapsed(lock, redis)
            thread = threading.Thread(target=others)
            thread.start()
            thread.join()
            newer.append(storage.load(place))
        return real(msg)

    monkeypatch.setattr(operations, "extract_features", sleeps)
    extract_features.apply_async((message,), task_id="older")
    wait_until(lambda: bool(newer), 60, "the newer task did not run")
    wait_until(lambda: nothing_in_hand(redis), 60, "the older task is still at the worker")
    assert storage.load(place) == newer[0]
    stored = find_answer("older")
    assert stored is not None
    assert stored.worker == "other"
