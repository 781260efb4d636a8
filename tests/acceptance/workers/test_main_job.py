"""The main job through real workers: extract, train, classify, and the batch of all three."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ImageError, TooManyFailuresError
from spacer_tasks.messages.tasks import ClassifyReturnMsg
from spacer_tasks.results import find_answer, load_answer
from spacer_tasks.tasks import extract_features, process_job
from spacer_tasks.workflows import train_from_images
from tests.support.photos import DUMMY, LABELS, photo
from tests.support.redis.celery_parts import channel_of
from tests.support.waiting import wait_until
from tests.support.workers import StartWorker


def on_s3(bucket: str, key: str, data: bytes | None = None) -> DataLocation:
    location = DataLocation(storage_type="s3", bucket_name=bucket, key=key)
    if data is not None:
        storage.store(location, data)
    return location


def waiting_in(queue: str) -> int:
    """Messages in a queue that nobody consumes here."""
    with app.connection_for_read() as connection:
        return int(channel_of(connection).client.llen(queue))


@pytest.fixture(scope="module")
def workers(start_worker: StartWorker) -> None:
    start_worker("feature", "--concurrency=2")
    start_worker("trainer", "--concurrency=1")
    start_worker("classify", "--concurrency=1")


def batch(bucket: str, images: int) -> dict[str, Any]:
    labels = sorted(LABELS)
    points = [[row, col] for row in (10, 30, 50) for col in (10, 30, 50)]
    entries = []
    for i in range(images):
        label = labels[i % 3]
        entry: dict[str, Any] = {
            "image_loc": on_s3(bucket, f"photos/{i}.png", photo(label, i)).model_dump(),
            "feature_loc": on_s3(bucket, f"features/{i}.npz").model_dump(),
        }
        if i % 5:
            entry["annotations"] = [[row, col, label] for row, col in points]
        else:
            entry["rowcols"] = points
        entries.append(entry)
    return {
        "job_token": "batch",
        "extractor": DUMMY.model_dump(mode="json"),
        "images": entries,
        "nbr_epochs": 3,
        "split_mode": "points_stratified",
        "model_loc": on_s3(bucket, "classifier.safetensors").model_dump(),
        "valresult_loc": on_s3(bucket, "valresult.json").model_dump(),
    }


@pytest.mark.usefixtures("workers")
def test_a_batch_trains_on_labelled_images_and_scores_the_others(bucket: str) -> None:
    message = batch(bucket, 30)
    bad = on_s3(bucket, "photos/bad.png", b"no image")
    message["images"].append(
        {
            "image_loc": bad.model_dump(),
            "feature_loc": on_s3(bucket, "features/bad.npz").model_dump(),
            "annotations": [[1, 1, "sand"]],
        }
    )
    # the same photo as an entry to be classified, with a point outside: only this entry fails
    again = dict(message["images"][1], feature_loc=on_s3(bucket, "features/again.npz").model_dump())
    del again["annotations"]
    message["images"].append({**again, "rowcols": [[900, 900]]})
    done = app.signature("site.batch_done", queue="site-done")
    sent = train_from_images.apply_async((message,), link=done)
    summary = sent.get(timeout=120)["summary"]

    assert (summary["images"], summary["extracted"], summary["skipped"]) == (32, 30, 0)
    assert summary["classified"] == 6
    outside = on_s3(bucket, "photos/1.png")
    assert [f["name"] for f in summary["failures"]] == [bad.uri, outside.uri]
    assert summary["failures"][0]["type"] == "spacer_tasks.exceptions.ImageError"
    assert len(summary["training"]["ref_accs"]) == 3
    scores = storage.load(on_s3(bucket, "features/5.npz.scores.json"))
    answer = ClassifyReturnMsg.model_validate(json.loads(scores))
    assert len(answer.scores) == 9
    assert answer.classes == sorted(LABELS)
    assert storage.exists(on_s3(bucket, "valresult.metrics.json"))
    # the caller's callback belongs to the whole batch: it was sent once, at the end
    wait_until(lambda: waiting_in("site-done") == 1, 120, "the callback was not sent")
    # the answer does not depend on Redis
    sent.forget()
    assert load_answer(sent.id) == summary

    again = train_from_images.delay({**message, "job_token": "again"}).get(timeout=120)["summary"]
    assert (again["extracted"], again["skipped"]) == (0, 30)


@pytest.mark.usefixtures("workers")
def test_single_tasks_answer_and_report_errors(bucket: str) -> None:
    image = on_s3(bucket, "a.png", photo("sand", 1))
    message = {
        "job_token": "1",
        "extractor": DUMMY.model_dump(mode="json"),
        "rowcols": [[3, 4], [5, 6]],
        "image_loc": image.model_dump(),
        "feature_loc": on_s3(bucket, "a.npz").model_dump(),
    }
    extract_features.delay(message).get(timeout=120)
    features = ImageFeatures.from_bytes(storage.load(on_s3(bucket, "a.npz")), "a")
    assert features.rowcols() == [(3, 4), (5, 6)]

    broken = {**message, "image_loc": on_s3(bucket, "b.png", b"").model_dump()}
    failed = extract_features.delay(broken)
    with pytest.raises(ImageError, match=r"b\.png"):
        failed.get(timeout=120)
    stored = find_answer(failed.id)
    assert stored is not None
    assert stored.error is not None
    assert stored.error.kind == "input"

    job = {"task_name": "extract_features", "tasks": [message]}
    done = load_answer(process_job.delay(job).get(timeout=120))
    assert done["ok"]
    assert done["original_job"] == job


@pytest.mark.usefixtures("workers")
def test_more_failures_than_allowed_end_the_batch_and_name_the_reasons(bucket: str) -> None:
    message = batch(bucket, 6)
    for entry in message["images"][:2]:
        storage.store(DataLocation(**entry["image_loc"]), b"no image")
    failed = app.signature("site.batch_failed", queue="site-failed")
    sent = train_from_images.apply_async(({**message, "max_failed_share": 0.2},), link_error=failed)
    with pytest.raises(TooManyFailuresError, match=r"2 of 6 images failed.*20%.*photos/0\.png"):
        sent.get(timeout=120)
    stored = find_answer(sent.id)
    assert stored is not None
    assert not stored.ok
    wait_until(lambda: waiting_in("site-failed") == 1, 120, "the error callback was not sent")
