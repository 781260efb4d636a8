"""What goes over the wire: as this checkout sends it, and as versions before it sent it.

The recordings are in fixtures/wire/, one folder a version; see the README there.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from celery.result import AsyncResult

from spacer_tasks import storage, tasks, workflows
from spacer_tasks.app import app
from spacer_tasks.broker.client import broker_client
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.execution.task import OperationTask
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.photos import photo

RECORDED = FIXTURES_FOLDER / "wire"
#: stands in recordings where files are; a test puts a folder of its own there
FOLDER = "/FOLDER"
IMAGES = 12
#: the tasks that clients send, in an order in which each finds what it needs, and where they go
TASKS: dict[str, tuple[OperationTask, str]] = {
    "extract_features": (tasks.extract_features, "features"),
    "train_classifier": (tasks.train_classifier, "training"),
    "classify_features": (tasks.classify_features, "classify"),
    "classify_image": (tasks.classify_image, "features"),
    "process_job": (tasks.process_job, "classify"),
    "train_from_images": (workflows.train_from_images, "classify"),
    "train_many": (workflows.train_many, "classify"),
    # a point outside of the image
    "failure": (tasks.extract_features, "features"),
}


def location(name: str) -> dict[str, Any]:
    """A file of a recording."""
    return {"storage_type": "filesystem", "key": f"{FOLDER}/{name}", "bucket_name": None}


def questions() -> dict[str, dict[str, Any]]:
    """A message for each task, with what it must say and nothing else."""
    extractor = {"class_path": "dummy", "feature_dim": 8}
    points = [[3, 4], [5, 6]]
    labels = {json.dumps(location("a.npz")): [[3, 4, 1], [5, 6, 2]]}
    extract = {
        "job_token": "1",
        "extractor": extractor,
        "rowcols": points,
        "image_loc": location("a.png"),
        "feature_loc": location("a.npz"),
    }
    train = {
        "job_token": "2",
        "trainer": "minibatch",
        "nbr_epochs": 1,
        "clf_type": "LR",
        "labels": dict.fromkeys(("train", "ref", "val"), labels),
        "model_loc": location("a.model"),
        "valresult_loc": location("a.valresult"),
    }
    classify = {
        "job_token": "3",
        "feature_loc": location("a.npz"),
        "classifier_loc": location("a.model"),
    }
    images: list[dict[str, Any]] = [
        {
            "image_loc": location("a.png"),
            "feature_loc": location(f"{number}.npz"),
            "annotations": [[3, 4, 1], [5, 6, 2]],
        }
        for number in range(IMAGES)
    ]
    images[0] = {**images[0], "rowcols": points}
    del images[0]["annotations"]
    return {
        "extract_features": extract,
        "train_classifier": train,
        "classify_features": classify,
        "classify_image": {
            "job_token": "4",
            "extractor": extractor,
            "rowcols": points,
            "image_loc": location("a.png"),
            "classifier_loc": location("a.model"),
        },
        "process_job": {"task_name": "classify_features", "tasks": [classify]},
        "train_from_images": {
            "job_token": "5",
            "extractor": extractor,
            "images": images,
            "model_loc": location("b.model"),
            "valresult_loc": location("b.valresult"),
        },
        "train_many": {
            "job_token": "6",
            "trainings": [train],
            "publish_loc": location("c.model"),
            "summary_loc": location("c.json"),
        },
        "failure": {**extract, "rowcols": [[3, 4], [500, 6]]},
    }


def task_id(name: str) -> str:
    """By which a recorded task is known."""
    return f"wire-{name}"


def state_key(name: str) -> str:
    """Where Celery keeps its small result in Redis."""
    backend: Any = app.backend
    key: bytes = backend.get_key_for_task(task_id(name))
    return key.decode()


def put_image(folder: Path) -> None:
    """The image that all of them are about."""
    storage.store(DataLocation.parse(str(folder / "a.png")), photo("sand", 1))


def sent(name: str) -> dict[str, Any]:
    """What is in the queue after a client sent a question, taken out of it again.

    Its files are where the recordings say; a message that goes on to a worker says where they are.
    """
    task, queue = TASKS[name]
    task.apply_async((questions()[name],), task_id=task_id(name))
    raw = broker_client().rpop(queue)
    assert isinstance(raw, bytes), f"nothing is in the queue {queue}"
    envelope: dict[str, Any] = json.loads(raw)
    envelope["body"] = json.loads(base64.b64decode(envelope["body"]))
    return envelope


def send(name: str, envelope: dict[str, Any], folder: Path) -> AsyncResult[Any]:
    """Put a message into its queue, as it was taken out."""
    envelope = in_folder(envelope, folder)
    body = base64.b64encode(json.dumps(envelope["body"]).encode()).decode()
    broker_client().lpush(TASKS[name][1], json.dumps({**envelope, "body": body}))
    result: AsyncResult[Any] = app.AsyncResult(task_id(name))
    return result


def in_folder(data: Any, folder: Path) -> Any:
    """The same with the files of a test."""
    return json.loads(json.dumps(data).replace(FOLDER, str(folder)))


def recorded(version: Path, kind: str) -> dict[str, Any]:
    """What was recorded of a version, by the task's name."""
    return {
        name: json.loads((version / kind / f"{name}.json").read_text(encoding="utf-8"))
        for name in TASKS
    }
