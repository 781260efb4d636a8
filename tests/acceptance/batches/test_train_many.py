"""Many trainings side by side, compared, and the best one published.

`make many` runs it with a thousand trainings; here a few show the same.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pytest

from spacer_tasks import storage
from spacer_tasks.classifiers import load_classifier
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.labels import ImageLabels
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import TooManyFailuresError
from spacer_tasks.messages.batches import TrainManyMsg
from spacer_tasks.messages.tasks import TrainClassifierMsg, TrainingTaskLabels
from spacer_tasks.results import load_answer
from spacer_tasks.workflows import train_many
from tests.support.workers import StartWorker

TRAININGS = int(os.environ.get("TEST_TRAININGS", "12"))
POINTS = 30


@pytest.fixture(scope="module", autouse=True)
def workers(start_worker: StartWorker) -> None:
    start_worker("trainer", "--concurrency=2")
    start_worker("classify", "--concurrency=1")


@pytest.fixture(scope="module")
def labels(bucket: str, settings_env: dict[str, str]) -> TrainingTaskLabels:
    """Three sets of points whose two labels lie apart, a little."""
    rng = np.random.default_rng(0)
    sets = {}
    for name in ("train", "ref", "val"):
        location = DataLocation.parse(f"s3://{bucket}/features/{name}")
        classes = rng.integers(0, 2, POINTS)
        vectors = (classes[:, None] + rng.normal(0, 0.7, (POINTS, 8))).astype(np.float32)
        points = [(i, i) for i in range(POINTS)]
        storage.store(location, ImageFeatures.of_points(points, vectors).to_bytes())
        sets[name] = ImageLabels(
            {location: [(i, i, ("sand", "coral")[k]) for i, k in enumerate(classes)]}
        )
    return TrainingTaskLabels(**sets)


def training(bucket: str, index: int, labels: TrainingTaskLabels, **change: Any) -> Any:
    folder = f"s3://{bucket}/candidates/{index}"
    message = TrainClassifierMsg(
        job_token=f"candidate-{index}",
        trainer="minibatch",
        nbr_epochs=1 + index % 20,
        clf_type="LR",
        labels=labels,
        model_loc=DataLocation.parse(f"{folder}.safetensors"),
        valresult_loc=DataLocation.parse(f"{folder}.json"),
    )
    return message.model_copy(update=change)


def many(bucket: str, trainings: list[TrainClassifierMsg]) -> TrainManyMsg:
    return TrainManyMsg(
        job_token="many",
        trainings=trainings,
        publish_loc=DataLocation.parse(f"s3://{bucket}/best.safetensors"),
        summary_loc=DataLocation.parse(f"s3://{bucket}/summary.json"),
    )


def test_the_best_of_many_trainings_is_published_and_failures_are_listed(
    bucket: str, labels: TrainingTaskLabels
) -> None:
    nowhere = DataLocation.parse(f"s3://{bucket}/features/nowhere")
    broken = labels.model_copy(
        update={"train": ImageLabels({nowhere: [(1, 1, "sand"), (2, 2, "coral")]})}
    )
    trainings = [training(bucket, i, labels) for i in range(TRAININGS)]
    trainings[3] = training(bucket, 3, broken)
    sent = train_many.delay(many(bucket, trainings))
    sent.get(timeout=60 + 2 * TRAININGS)

    answer = load_answer(sent.id)
    assert len(answer["candidates"]) == TRAININGS - 1
    assert [failure["name"] for failure in answer["failures"]] == ["candidate-3"]
    assert nowhere.uri in answer["failures"][0]["message"]
    accuracies = [candidate["acc"] for candidate in answer["candidates"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert answer["best"] == answer["candidates"][0]
    published = storage.load(DataLocation(**answer["publish_loc"]))
    assert published == storage.load(DataLocation(**answer["best"]["model_loc"]))
    assert load_classifier(DataLocation(**answer["publish_loc"])).classes == ["coral", "sand"]
    summary = json.loads(storage.load(DataLocation.parse(f"s3://{bucket}/summary.json")))
    assert summary == answer


def test_a_batch_in_which_every_training_fails_is_an_error(
    bucket: str, labels: TrainingTaskLabels
) -> None:
    one_class = labels.model_copy(update={"train": labels.train.filter_classes({"sand"})})
    sent = train_many.delay(many(bucket, [training(bucket, 0, one_class)]))
    with pytest.raises(
        TooManyFailuresError, match=r"none of 1 trainings succeeded: candidate-0: .*two"
    ):
        sent.get(timeout=120)
