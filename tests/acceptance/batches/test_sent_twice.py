"""A batch that is sent again because nobody said whether it was sent: it goes on once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from spacer_tasks import storage
from spacer_tasks.broker.queue_depths import queue_depths
from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.execution.once import PREFIX
from spacer_tasks.workflows import train_from_images
from tests.support.photos import photo
from tests.support.waiting import until
from tests.support.workers import StartWorker

IMAGES = 5


@pytest.mark.usefixtures("queue")
def test_one_id_that_is_sent_twice_is_one_chord(
    start_worker: StartWorker, bucket: str, redis_url: str, tmp_path: Path
) -> None:
    redis = Redis.from_url(redis_url)
    redis.delete("training")
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))

    def at(key: str) -> dict[str, Any]:
        return DataLocation.parse(f"s3://{bucket}/{key}").model_dump()

    batch = {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 4},
        "images": [
            {
                "image_loc": image.model_dump(),
                "feature_loc": at(f"{index}.npz"),
                "annotations": [[3, 4, "a"], [5, 6, "b"]],
            }
            for index in range(IMAGES)
        ],
        "nbr_epochs": 1,
        "model_loc": at("model"),
        "valresult_loc": at("valresult.json"),
    }
    for _ in range(2):
        train_from_images.apply_async((batch,), task_id="sent-twice")
    start_worker("classify", "--concurrency=2", name="twice-classify")
    start_worker("feature", "--concurrency=2", name="twice-feature")
    until(lambda: queue_depths(redis)["training"].waiting > 0, "no body was sent")

    def settled() -> bool:
        depths = queue_depths(redis)
        pools = [Keys.of(pool) for pool in ("classify", "features")]
        return not (
            depths["classify"].waiting
            or depths["features"].waiting
            or any(redis.hlen(keys.unacked) for keys in pools)
        )

    # both starts, and all parts of whatever they sent
    until(settled, "something goes on")
    assert queue_depths(redis)["training"].waiting == 1
    counts = redis.keys(f"{PREFIX}sent-twice.extract.*:parts")
    assert [int(redis.get(each) or 0) for each in counts] == [IMAGES]
