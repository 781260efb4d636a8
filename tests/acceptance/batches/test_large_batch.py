"""A chord of hundreds of images through two feature workers, one in a hundred bad."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.results import find_answer
from spacer_tasks.workflows import train_from_images
from tests.support.photos import DUMMY, LABELS, photo
from tests.support.workers import StartWorker

#: 1,000 in `make many`
IMAGES = int(os.environ.get("TEST_IMAGES", "300"))
BAD = set(range(50, IMAGES, 100))
#: one in ten has no labels and is classified
UNLABELLED = 10
POINTS = [[row, col] for row in (5, 16, 27) for col in (5, 16, 27)]


#: names and kinds
WORKERS = {
    "features-1": "feature",
    "features-2": "feature",
    "trainer": "trainer",
    "classify": "classify",
}


@pytest.fixture(scope="module")
def workers(start_worker: StartWorker) -> None:
    for name, kind in WORKERS.items():
        start_worker(kind, "--concurrency=2" if kind == "feature" else "--concurrency=1", name=name)


def image(bucket: str, index: int) -> dict[str, object]:
    label = sorted(LABELS)[index % len(LABELS)]
    location = DataLocation.parse(f"s3://{bucket}/photos/{index:04}.png")
    # cut before its first pixel: Pillow knows what it is and fails while it decodes
    data = photo(label, index, size=32)
    storage.store(location, data[:45] if index in BAD else data)
    entry: dict[str, object] = {
        "image_loc": location.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/features/{index:04}").model_dump(),
    }
    if index % UNLABELLED == 1:
        return {**entry, "rowcols": POINTS}
    return {**entry, "annotations": [[row, col, label] for row, col in POINTS]}


@pytest.mark.usefixtures("workers")
def test_all_images_of_a_large_batch_are_answered_and_the_bad_ones_are_named(bucket: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda index: image(bucket, index), range(IMAGES)))
    sent = train_from_images.delay(
        {
            "job_token": "large",
            "extractor": DUMMY.model_dump(mode="json"),
            "images": images,
            "nbr_epochs": 2,
            "model_loc": DataLocation.parse(f"s3://{bucket}/model").model_dump(),
            "valresult_loc": DataLocation.parse(f"s3://{bucket}/val.json").model_dump(),
        }
    )
    answer = sent.get(timeout=400)["summary"]

    assert answer["extracted"] == IMAGES - len(BAD)
    assert answer["classified"] == IMAGES // UNLABELLED
    assert {failure["name"] for failure in answer["failures"]} == {
        f"s3://{bucket}/photos/{index:04}.png" for index in BAD
    }
    assert {failure["type"] for failure in answer["failures"]} == {
        "spacer_tasks.exceptions.ImageError"
    }
    # each image has an answer of its own, and both workers took a share
    with ThreadPoolExecutor(8) as pool:
        ids = [f"{sent.id}.extract.{index}" for index in range(IMAGES)]
        answers = list(pool.map(find_answer, ids))
    assert all(answers)
    assert sum(not answer.ok for answer in answers if answer) == len(BAD)
    shares = Counter(answer.worker for answer in answers if answer)
    assert set(shares) == {"features-1@test", "features-2@test"}
    names = [f"{name}@test" for name in WORKERS]
    assert set(app.control.inspect(timeout=60, destination=names).active() or {}) == set(names)
