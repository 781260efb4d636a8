"""S3 misbehaves: what a plain client makes of it, and what storage does."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spacer_tasks import retries, storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.services import S3Server
from spacer_tasks.exceptions import (
    ObjectNotFoundError,
    RunningElsewhere,
    StorageUnavailableError,
)
from spacer_tasks.results import find_answer, store_answer
from spacer_tasks.retries import Schedule
from spacer_tasks.storage.fence import fenced_by
from tests.support.s3.faults import S3Faults
from tests.support.s3.front import S3Front, s3_front
from tests.support.settings import settings_in_environment

DATA = bytes(range(256)) * 500


@pytest.fixture(scope="module")
def front(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Front]:
    with s3_front(s3, tmp_path_factory.mktemp("front")) as running:
        yield running


@pytest.fixture
def place(front: S3Front, bucket: str) -> Iterator[DataLocation]:
    """An object's place, reached through the proxy."""
    with settings_in_environment("redis://127.0.0.1:1/0", front.s3, bucket):
        yield DataLocation.parse(f"s3://{bucket}/object")
        front.set(S3Faults())


def plain(front: S3Front, location: DataLocation) -> bytes:
    """What `with get_object(…)["Body"]` reads, as the documentation of boto3 shows it."""
    assert location.bucket_name
    answer = front.s3.client().get_object(Bucket=location.bucket_name, Key=location.key)
    with answer["Body"] as body:
        return bytes(body.read())


def _all(fault: str, first: int = 0) -> S3Faults:
    """Each request meets this fault, or the first ones do."""
    some: dict[str, Any] = {fault: 1, "first": first}
    return S3Faults(**some)


def test_half_an_object_that_says_it_is_whole_is_noticed(
    front: S3Front, place: DataLocation
) -> None:
    storage.store(place, DATA)
    front.set(S3Faults(short=1))
    assert plain(front, place) == DATA[: len(DATA) // 2]
    with pytest.raises(StorageUnavailableError, match="checksum"):
        storage.load(place)


@pytest.mark.parametrize("fault", ["short", "long", "reset", "error_500", "error_503"])
def test_what_passes_is_read_again(front: S3Front, place: DataLocation, fault: str) -> None:
    storage.store(place, DATA)
    before = sum(front.met().values())
    front.set(_all(fault, first=2))
    assert storage.load(place) == DATA
    assert sum(front.met().values()) == before + 2
    front.set(_all(fault))
    with pytest.raises(StorageUnavailableError):
        storage.load(place)


@pytest.mark.parametrize("fault", ["reset", "error_500"])
def test_an_upload_that_fails_leaves_what_was_there(
    front: S3Front, place: DataLocation, fault: str
) -> None:
    new = place.joined("new")
    storage.store(place, DATA)
    front.set(_all(fault))
    for location in (place, new):
        with pytest.raises(StorageUnavailableError):
            storage.store(location, b"another" * 1000)
    front.set(S3Faults())
    assert storage.load(place) == DATA
    with pytest.raises(ObjectNotFoundError):
        storage.load(new)


def test_an_answer_whose_upload_was_reported_as_failed_is_kept_once(
    front: S3Front, place: DataLocation
) -> None:
    # stored, but S3 says 500: the second try of the request finds it there
    front.set(S3Faults(error_after=1, first=1))
    kept = store_answer("task", "x", None, answer={"n": 1})
    assert kept.answer == {"n": 1}
    assert find_answer("task") == kept
    assert front.met()["error_after"] == 1
    assert all(count == 1 for count in front.writes().values())


def test_of_two_answers_the_first_stays(place: DataLocation) -> None:
    first = store_answer("twice", "x", "worker 1", answer={"runtime": 1.0})
    assert store_answer("twice", "x", "worker 2", answer={"runtime": 2.0}) == first
    assert find_answer("twice") == first


def test_a_plain_client_does_not_find_what_is_shown_late(
    front: S3Front, place: DataLocation
) -> None:
    # the tasks of a batch that read what it wrote try again: see the fault suite
    front.set(S3Faults(late=1, late_s=60))
    storage.store(place, DATA)
    client: Any = front.s3.client()
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket=place.bucket_name, Key=place.key)


def test_the_parts_of_a_batch_wait_for_what_it_wrote(
    front: S3Front,
    place: DataLocation,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from celery.contrib.testing.worker import start_worker

    from spacer_tasks.app import app
    from tests.support.messages.work import Work
    from tests.support.sending import empty_queues

    monkeypatch.setattr(retries, "TASK", Schedule((1, 2)))
    monkeypatch.setenv("SPACER_BROKER_URL", redis_url)
    with empty_queues(redis_url):
        work = Work(place.bucket_name or "")
        task, message, sent = work.made("train_from_images", "late-batch")
        front.set(S3Faults(late=1, late_s=0.5))
        with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
            result = task.apply_async((message,), task_id=sent.task_id).get(timeout=120)
        # its parts' results hold connections to this Redis
        gc.collect()
    assert result["summary"]["classified"] == 2
    assert front.met()["late"] > 0


def test_each_try_of_a_write_asks_whether_it_may_still_be_made(
    front: S3Front, place: DataLocation
) -> None:
    storage.store(place, b"newer")
    asked = []

    def first_only() -> None:
        asked.append(1)
        if len(asked) > 1:
            raise RunningElsewhere("another worker's")

    front.set(S3Faults(error_503=1))
    writes: list[Callable[[], None]] = [
        lambda: storage.store(place, b"older"),
        lambda: storage.delete(place),
    ]
    for write in writes:
        asked.clear()
        with fenced_by(first_only), pytest.raises(RunningElsewhere):
            write()
        assert len(asked) == 2
    front.set(S3Faults())
    assert storage.load(place) == b"newer"
