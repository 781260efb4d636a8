"""The tasks of the suite: every kind that a caller sends, each with the objects that it must leave.

Small ones, so that the queue, not the computing, is what is tested: images of 64 x 64 pixels, the
extractor without a network, trainings of two epochs on ninety points.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from celery import signature

from spacer_tasks import operations, storage
from spacer_tasks.app import app
from spacer_tasks.classifiers import load_classifier
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.labels import ImageLabels
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.messages.tasks import ClassifyReturnMsg, TrainClassifierMsg, TrainingTaskLabels
from spacer_tasks.tasks import (
    classify_features,
    classify_image,
    extract_features,
    process_job,
    train_classifier,
)
from spacer_tasks.workflows import train_from_images, train_many
from tests.support.photos import DUMMY, LABELS, photo

#: where workers send word of an answer, as to a caller's own tasks
ANSWERED, FAILED = "soak.answered", "soak.failed"
POINTS = [(row, column) for row in (10, 30, 50) for column in (10, 30, 50)]
#: how often each kind is sent; a training costs as much as twenty of the others
MIX = {
    "extract": 55,
    "classify": 30,
    "classify_image": 10,
    "job": 8,
    "train": 1,
    "train_from_images": 1.5,
    "train_many": 0.3,
}
#: seconds that a task which hangs is given
HANGING_S = 5
#: images of a batch: to learn from, and to be classified
LEARNED, CLASSIFIED = 6, 2
CANDIDATES = 3


@dataclass(frozen=True)
class Sent:
    """One task of a caller.

    Attributes
    ----------
    tasks
        Messages that it comes to: a batch has its parts and bodies too.
    bodies
        Chord bodies among them.
    outputs
        What must be there, whole, once it is answered.
    expected
        How it may end: the name of an error, or "" for an answer.
    """

    task_id: str
    kind: str
    tasks: int
    bodies: int
    outputs: tuple[DataLocation, ...]
    expected: tuple[str, ...] = ("",)


class Work:
    """Makes and sends tasks."""

    def __init__(self, bucket: str, scratch: Path | None = None) -> None:
        self._scratch = scratch
        self._root = DataLocation.parse(f"s3://{bucket}/soak")
        self._number = count()
        self._images = {}
        for number, label in enumerate(list(LABELS) * 3):
            location = self._at("images", f"{number}.png")
            storage.store(location, photo(label, number))
            self._images[location] = label
        self._labels = self._stored_labels()
        self._classifier = self._at("classifier.safetensors")
        operations.train_classifier(self._training("first", self._classifier))
        self._features = self._at("features.npz")
        operations.extract_features(self._extraction(next(iter(self._images)), self._features))

    def send(self, task_id: str, kind: str | None = None) -> Sent:
        """Send a task, of a kind drawn by chance where none is named. Raises as `.apply_async`."""
        kind = kind or random.choices(list(MIX), list(MIX.values()))[0]
        task, message, sent = self.made(kind, task_id)
        task.apply_async(
            (message,),
            task_id=task_id,
            time_limit=HANGING_S if kind == "hangs" else None,
            link=signature("soak.answered", queue=ANSWERED, app=app),
            link_error=signature("soak.failed", queue=FAILED, app=app),
        )
        return sent

    def made(self, kind: str, task_id: str) -> tuple[Any, Any, Sent]:
        """A task, its message, and what must come of it."""
        make: Callable[[str], tuple[Any, Any, Sent]] = getattr(self, f"_{kind}")
        return make(task_id)

    # --- one method a kind -------------------------------------------------------------------

    def _extract(self, task_id: str) -> tuple[Any, Any, Sent]:
        to = self._at("out", f"{task_id}.npz")
        message = self._extraction(random.choice(list(self._images)), to)
        return extract_features, message, Sent(task_id, "extract", 1, 0, (to,))

    def _classify(self, task_id: str) -> tuple[Any, Any, Sent]:
        message = {
            "job_token": task_id,
            "feature_loc": self._features.model_dump(),
            "classifier_loc": self._classifier.model_dump(),
        }
        return classify_features, message, Sent(task_id, "classify", 1, 0, ())

    def _classify_image(self, task_id: str) -> tuple[Any, Any, Sent]:
        message = {
            "job_token": task_id,
            "image_loc": random.choice(list(self._images)).model_dump(),
            "extractor": DUMMY.model_dump(),
            "rowcols": POINTS,
            "classifier_loc": self._classifier.model_dump(),
        }
        return classify_image, message, Sent(task_id, "classify_image", 1, 0, ())

    def _job(self, task_id: str) -> tuple[Any, Any, Sent]:
        to = self._at("out", f"{task_id}.npz")
        message = self._extraction(random.choice(list(self._images)), to)
        job = {"task_name": "extract_features", "tasks": [message]}
        return process_job, job, Sent(task_id, "job", 1, 0, (to,))

    def _kills(self, task_id: str) -> tuple[Any, Any, Sent]:
        """Ends its worker each time; other tasks of that worker must not be given up with it."""
        return self._faulty(task_id, "kill", 99, "TaskAbandonedError")

    def _kills_a_child(self, task_id: str) -> tuple[Any, Any, Sent]:
        """The same in a trainer, where a task is a process of its own."""
        assert self._scratch is not None
        folder = self._scratch / task_id
        folder.mkdir(parents=True)
        to = self._at("out", f"{task_id}.safetensors")
        message = self._training(task_id, to).to_wire()
        message["trainer"] = {
            "class_path": "faulty",
            "fault": "kill",
            "times": 99,
            "folder": str(folder),
        }
        sent = Sent(task_id, "kills_a_child", 1, 0, (to,), ("TaskAbandonedError",))
        return train_classifier, message, sent

    def _hangs(self, task_id: str) -> tuple[Any, Any, Sent]:
        return self._faulty(task_id, "sleep 600", 99, "TaskTimeoutError")

    def _grows(self, task_id: str) -> tuple[Any, Any, Sent]:
        return self._faulty(task_id, "grow", 1, "")

    def _faulty(self, task_id: str, fault: str, times: int, expected: str) -> tuple[Any, Any, Sent]:
        assert self._scratch is not None
        folder = self._scratch / task_id
        folder.mkdir(parents=True)
        to = self._at("out", f"{task_id}.npz")
        message = self._extraction(random.choice(list(self._images)), to)
        message["extractor"] = {
            "class_path": "faulty",
            "fault": fault,
            "times": times,
            "folder": str(folder),
        }
        return extract_features, message, Sent(task_id, fault, 1, 0, (to,), (expected,))

    def _train(self, task_id: str) -> tuple[Any, Any, Sent]:
        to = self._at("out", f"{task_id}.safetensors")
        message = self._training(task_id, to)
        return train_classifier, message.to_wire(), Sent(task_id, "train", 1, 0, (to,))

    def _train_from_images(self, task_id: str) -> tuple[Any, Any, Sent]:
        at = self._at("out", task_id)
        images: list[dict[str, Any]] = []
        outputs = [at.joined("c.safetensors")]
        for number in range(LEARNED + CLASSIFIED):
            image = list(self._images)[number]
            features = at.joined(f"{number}.npz")
            entry: dict[str, Any] = {
                "image_loc": image.model_dump(),
                "feature_loc": features.model_dump(),
            }
            if number < LEARNED:
                entry["annotations"] = [[*point, self._images[image]] for point in POINTS]
            else:
                scores = at.joined(f"{number}.scores.json")
                entry |= {"rowcols": POINTS, "scores_loc": scores.model_dump()}
                outputs.append(scores)
            outputs.append(features)
            images.append(entry)
        message = {
            "job_token": task_id,
            "extractor": DUMMY.model_dump(),
            "images": images,
            "nbr_epochs": 2,
            "clf_type": "LR",
            "split_ratios": [0.3, 0.3],
            "split_mode": "points_stratified",
            "model_loc": outputs[0].model_dump(),
            "valresult_loc": at.joined("v.json").model_dump(),
            "max_failed_share": 0,
        }
        # the batch, its extractions, the training, its classifications, and its end
        tasks = 1 + LEARNED + CLASSIFIED + 1 + CLASSIFIED + 1
        return (
            train_from_images,
            message,
            Sent(task_id, "train_from_images", tasks, 2, tuple(outputs)),
        )

    def _train_many(self, task_id: str) -> tuple[Any, Any, Sent]:
        at = self._at("out", task_id)
        models = [at.joined(f"{number}.safetensors") for number in range(CANDIDATES)]
        best = at.joined("best.safetensors")
        message = {
            "job_token": task_id,
            "trainings": [self._training(to.key, to).to_wire() for to in models],
            "publish_loc": best.model_dump(),
            "summary_loc": at.joined("summary.json").model_dump(),
        }
        sent = Sent(task_id, "train_many", 1 + CANDIDATES + 1, 1, (*models, best))
        return train_many, message, sent

    # --- what they are made of ---------------------------------------------------------------

    def _at(self, *parts: str) -> DataLocation:
        return self._root.model_copy(update={"key": "/".join(parts)})

    def _extraction(self, image: DataLocation, to: DataLocation) -> dict[str, Any]:
        return {
            "job_token": "soak",
            "extractor": DUMMY.model_dump(),
            "rowcols": POINTS,
            "image_loc": image.model_dump(),
            "feature_loc": to.model_dump(),
        }

    def _training(self, name: str, to: DataLocation) -> TrainClassifierMsg:
        return TrainClassifierMsg(
            job_token=name,
            trainer="minibatch",
            nbr_epochs=2,
            clf_type="LR",
            labels=self._labels,
            model_loc=to,
            valresult_loc=to.model_copy(update={"key": f"{to.key}.val.json"}),
        )

    def _stored_labels(self) -> TrainingTaskLabels:
        rng = np.random.default_rng(0)
        sets = {}
        for name in ("train", "ref", "val"):
            location = self._at("labels", f"{name}.npz")
            points = [(i, i) for i in range(30)]
            classes = [i % 2 for i in range(30)]
            vectors = (np.array(classes)[:, None] + rng.normal(0, 0.5, (30, 32))).astype(np.float32)
            storage.store(location, ImageFeatures.of_points(points, vectors).to_bytes())
            sets[name] = ImageLabels(
                {location: [(i, i, ("sand", "coral")[k]) for i, k in enumerate(classes)]}
            )
        return TrainingTaskLabels(**sets)


def check_whole(location: DataLocation) -> None:
    """Read an output as its users do; raises where it is not there or not whole."""
    if location.key.endswith(".npz"):
        features = ImageFeatures.from_bytes(storage.load(location), str(location))
        assert len(features) in (len(POINTS), 30)
    elif location.key.endswith(".safetensors"):
        load_classifier(location)
    else:
        ClassifyReturnMsg.model_validate(json.loads(storage.load(location)))
