"""Messages whose images, features and classifiers are in this process's memory."""

from __future__ import annotations

from typing import Any

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from tests.support.photos import LABELS, photo

EXTRACTOR = {"class_path": "dummy", "feature_dim": 8}


def at(key: str) -> dict[str, Any]:
    """A location in memory, as a message has it."""
    return {"storage_type": "memory", "key": key}


def stored(key: str, data: bytes) -> dict[str, Any]:
    """The same, where `data` is."""
    storage.store(DataLocation(**at(key)), data)
    return at(key)


def extraction(name: str = "a", data: bytes | None = None) -> dict[str, Any]:
    """A message that asks for the features of a photo, or of `data`."""
    return {
        "job_token": name,
        "extractor": EXTRACTOR,
        "rowcols": [[3, 4], [5, 6]],
        "image_loc": stored(f"{name}.png", photo("sand", 1) if data is None else data),
        "feature_loc": at(f"{name}.npz"),
    }


def survey(images: int = 12) -> dict[str, Any]:
    """A message that asks for a classifier of labelled photos, and the scores of one more."""
    labels = list(LABELS)[:2]
    learned = [
        {
            "image_loc": stored(f"{number}.png", photo(labels[number % 2], number)),
            "feature_loc": at(f"{number}.npz"),
            "annotations": [[row, row, labels[number % 2]] for row in range(10, 20)],
        }
        for number in range(images)
    ]
    classified = {
        "image_loc": stored("new.png", photo(labels[0], images)),
        "feature_loc": at("new.npz"),
        "rowcols": [[3, 4], [5, 6]],
        "scores_loc": at("new.json"),
    }
    return {
        "job_token": "survey",
        "extractor": EXTRACTOR,
        "images": [*learned, classified],
        "trainer": {"class_path": "minibatch"},
        "nbr_epochs": 1,
        "clf_type": "LR",
        "split_mode": "points_stratified",
        "model_loc": at("survey.model"),
        "valresult_loc": at("survey.valresult"),
    }
