"""A worker that requires signatures does what was signed, and nothing else."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.broker import refused
from spacer_tasks.broker.signing import HEADER
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import Process
from spacer_tasks.exceptions import LocationNotAllowedError
from spacer_tasks.execution.payload import INLINE_BYTES
from spacer_tasks.results import message_location
from spacer_tasks.tasks import extract_features
from spacer_tasks.workflows import train_from_images
from tests.support.checkout import CHECKOUT
from tests.support.photos import DUMMY, LABELS, photo
from tests.support.settings import forget_settings
from tests.support.workers import StartWorker

KEY = "key-of-the-site-in-this-test"
#: seconds for a small task on a busy machine
ANSWER_S = 120


@pytest.fixture(scope="module")
def worker(start_worker: StartWorker) -> Iterator[Process]:
    """Workers that require signatures, of features the one that is given; this process has the
    key.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPACER_SIGNING_KEYS", KEY)
        patch.setenv("SPACER_ALLOWED_S3", "results")
        patch.setenv("SPACER_ALLOWED_ROOTS", "none")
        patch.setenv("SPACER_ALLOWED_URLS", "none")
        forget_settings()
        for kind in ("trainer", "classify"):
            start_worker(kind, "--concurrency=1", SPACER_REQUIRE_SIGNED="true")
        yield start_worker("feature", "--concurrency=2", SPACER_REQUIRE_SIGNED="true")
    forget_settings()


def extraction(bucket: str, name: str, **changes: Any) -> dict[str, Any]:
    image = DataLocation.parse(f"s3://{bucket}/{name}.png")
    storage.store(image, photo("sand", 1))
    return {
        "job_token": name,
        "extractor": DUMMY.model_dump(mode="json"),
        "rowcols": [[3, 4]],
        "image_loc": image.model_dump(),
        "feature_loc": features(bucket, name).model_dump(),
        **changes,
    }


def features(bucket: str, name: str) -> DataLocation:
    return DataLocation.parse(f"s3://{bucket}/{name}.npz")


def works(bucket: str) -> bool:
    """Whether signed work is done, also after all that came before it in the same queue."""
    name = f"good-{uuid.uuid4().hex}"
    extract_features.delay(extraction(bucket, name)).get(timeout=ANSWER_S)
    return storage.exists(features(bucket, name))


def broker() -> redis.Redis:
    return redis.Redis.from_url(str(app.conf.broker_url))


def caught(send: Callable[[], object], queue: str = "features") -> dict[str, Any]:
    """The envelope that something sends, taken out of its queue before a worker sees it."""
    with pytest.MonkeyPatch.context() as patch:
        taken: dict[str, list[Any]] = defaultdict(list)
        from kombu.transport.redis import Channel

        # events have queues of their own
        patch.setattr(Channel, "_put", lambda self, name, message, **_: taken[name].append(message))
        send()
    (found,) = taken[queue]
    assert isinstance(found, dict)
    return found


def put(envelope: dict[str, Any] | bytes | str, queue: str = "features") -> None:
    data = json.dumps(envelope) if isinstance(envelope, dict) else envelope
    broker().lpush(queue, data)


SEND_UNSIGNED = """
import json, sys
from spacer_tasks.tasks import extract_features
print(extract_features.delay(json.load(sys.stdin)).id)
"""


def sent_by_another(message: dict[str, Any], keys: str) -> str:
    """Sends it from a process with other keys, or none; its id."""
    done = subprocess.run(
        [sys.executable, "-c", SEND_UNSIGNED],
        env={**os.environ, "SPACER_SIGNING_KEYS": keys},
        cwd=CHECKOUT,
        input=json.dumps(message),
        capture_output=True,
        text=True,
        check=True,
        timeout=ANSWER_S,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("keys", ["", "key-of-somebody-else-entirely"])
def test_work_that_is_not_signed_with_the_key_is_not_done(
    worker: Process, bucket: str, keys: str
) -> None:
    name = f"stranger-{len(keys)}"
    task_id = sent_by_another(extraction(bucket, name), keys)
    assert works(bucket)
    assert not storage.exists(features(bucket, name))
    # nothing is said in the name of that task: its id may be another's
    assert app.AsyncResult(task_id).state == "PENDING"
    # it is kept, with the reason
    kept = next(each for each in refused.listed(broker()) if each.headers.get("id") == task_id)
    assert ("none of the keys" if keys else "no signature") in kept.why
    assert kept.ref in worker.log_path.read_text()


def changed_body(envelope: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    body = change(json.loads(base64.b64decode(envelope["body"])))
    return {**envelope, "body": base64.b64encode(json.dumps(body).encode()).decode()}


def test_a_signed_message_that_was_changed_is_not_done(worker: Process, bucket: str) -> None:
    envelope = caught(lambda: extract_features.delay(extraction(bucket, "changed")))
    assert HEADER in envelope["headers"]

    def elsewhere(body: Any) -> Any:
        body[0][0]["feature_loc"]["key"] = "elsewhere.npz"
        return body

    def with_callback(body: Any) -> Any:
        body[2]["callbacks"] = [extract_features.s(extraction(bucket, "callback"))]
        return body

    put(changed_body(envelope, elsewhere))
    put(changed_body(envelope, with_callback))
    for name, value in [("id", str(uuid.uuid4())), ("task", "spacer_tasks.process_job")]:
        put({**envelope, "headers": {**envelope["headers"], name: value}})
    assert works(bucket)
    for name in ("changed", "callback", "elsewhere"):
        assert not storage.exists(features(bucket, name))
    # as it was, it is good
    put(envelope)
    assert works(bucket)
    app.AsyncResult(envelope["headers"]["id"]).get(timeout=ANSWER_S)
    assert storage.exists(features(bucket, "changed"))


def test_celery_s_own_tasks_do_not_run_ours_unsigned(worker: Process, bucket: str) -> None:
    message = extraction(bucket, "by-map")
    inner = {"task": "spacer_tasks.extract_features", "args": [], "kwargs": {}, "options": {}}
    whole = {**inner, "args": [message], "subtask_type": None, "immutable": False}
    requests: list[tuple[str, list[Any]]] = [
        ("celery.map", [inner, [message]]),
        ("celery.starmap", [inner, [[message]]]),
        ("celery.chunks", [inner, [[message]], 1]),
        ("celery.group", [[whole], "1", [], False]),
        ("celery.chord_unlock", ["1", whole]),
    ]
    for name, args in requests:
        # `celery.` names are not signed by us: as a stranger would send them
        app.send_task(name, args, queue="features")
    assert works(bucket)
    assert not storage.exists(features(bucket, "by-map"))
    # other messages of this Redis may have anything as the name of their task
    kept = [(each.headers.get("task"), each.reason) for each in refused.listed(broker())]
    for name, _ in requests:
        assert (name, refused.Reason.UNSIGNED) in kept


def test_a_batch_goes_through_with_all_that_workers_send_for_it(
    worker: Process, bucket: str
) -> None:
    """Replacement by a chord, its parts, its body, the next chord, a callback: all are signed."""
    points = [[row, col] for row in (10, 30, 50) for col in (10, 30, 50)]
    entries = []
    for number in range(12):
        label = sorted(LABELS)[number % 3]
        image = DataLocation.parse(f"s3://{bucket}/batch/{number}.png")
        storage.store(image, photo(label, number))
        entry: dict[str, Any] = {
            "image_loc": image.model_dump(),
            "feature_loc": features(bucket, f"batch/{number}").model_dump(),
        }
        if number % 5:
            entry["annotations"] = [[row, col, label] for row, col in points]
        else:
            entry["rowcols"] = points
        entries.append(entry)
    message = {
        "job_token": "batch",
        "extractor": DUMMY.model_dump(mode="json"),
        "images": entries,
        "nbr_epochs": 2,
        "split_mode": "points_stratified",
        "model_loc": DataLocation.parse(f"s3://{bucket}/model").model_dump(),
        "valresult_loc": DataLocation.parse(f"s3://{bucket}/val.json").model_dump(),
    }
    callback = extract_features.si(extraction(bucket, "linked"))
    sent = train_from_images.apply_async((message,), link=callback.set(task_id="linked-task"))
    assert sent.get(timeout=ANSWER_S)["summary"]["classified"] == 3
    app.AsyncResult("linked-task").get(timeout=ANSWER_S)
    assert storage.exists(features(bucket, "linked"))


def test_a_stored_message_that_was_exchanged_is_not_done(worker: Process, bucket: str) -> None:
    large = extraction(bucket, "large", job_token="x" * INLINE_BYTES)
    envelope = caught(lambda: extract_features.apply_async((large,), task_id="large-task"))
    assert len(json.dumps(envelope)) < INLINE_BYTES
    location = message_location("large-task")
    storage.store(location, json.dumps({**large, "rowcols": [[1, 1]]}).encode())
    put(envelope)
    with pytest.raises(Exception, match="another message is there than was sent"):
        app.AsyncResult("large-task").get(timeout=ANSWER_S)
    assert not storage.exists(features(bucket, "large"))
    # without a hash it would be anything
    pointer = {"message_loc": location.model_dump()}
    with pytest.raises(Exception, match="without its hash"):
        extract_features.apply_async((pointer,)).get(timeout=ANSWER_S)


def test_signed_work_on_a_foreign_place_is_an_error_of_its_own(
    worker: Process, bucket: str
) -> None:
    for loc in ("/etc/hostname", "s3://another-bucket/x", "http://127.0.0.1:1/x", "memory://x"):
        message = extraction(bucket, "foreign", image_loc=DataLocation.parse(loc).model_dump())
        with pytest.raises(LocationNotAllowedError, match=loc.rpartition("/")[2]):
            extract_features.delay(message).get(timeout=ANSWER_S)
