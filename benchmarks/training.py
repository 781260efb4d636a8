"""What trainings and classifications work on: features of 20 and 100 classes, and the messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spacer_tasks.data_classes.features import ImageFeatures

if TYPE_CHECKING:
    from spacer_tasks.demo.services import S3Server

DIMENSIONS = 1280
POINTS_PER_IMAGE = 50
EPOCHS = 10
CLASSIFIERS = ("MLP", "LR")
#: images and classes of each collection of feature files
COLLECTIONS = {20: 200, 100: 1000}
BUCKET = "bench"

Location = dict[str, Any]


def make_training_cases(folder: Path, s3: S3Server | None) -> dict[str, dict[str, Any]]:
    """Write the features, unless they are there, and give the message of each case.

    Parameters
    ----------
    s3
        Where the features of 20 classes are copied to, for the cases that read them from there.
    """
    cases: dict[str, dict[str, Any]] = {}
    for classes, images in COLLECTIONS.items():
        features = folder / f"features-{classes}"
        labels = make_features(features, classes, images)
        # 200 images first: the larger collection serves both numbers of labels
        for some in sorted({200, images}):
            for clf_type in CLASSIFIERS:
                name = f"{clf_type}, {classes} classes"
                model = file(folder / f"{{side}}-{clf_type}-{classes}-{some}.model")
                case = f"train {some * POINTS_PER_IMAGE:,} labels, {name}"
                cases[case] = training(labels[:some], clf_type, model, file)
                if some == 200:
                    for whose, vectors in ("the reference's", "hundred"), ("its own", "{side}-own"):
                        cases[f"classify 100 points, {name}, {whose} file"] = {
                            "task_name": "classify_features",
                            "job_token": "bench",
                            "feature_loc": file(features / f"{vectors}.featurevector"),
                            "classifier_loc": model,
                        }
                if some == 200 and classes == 20 and s3:
                    at_s3 = _uploaded(features, s3)
                    cases[f"{case}, features on S3"] = training(labels, clf_type, model, at_s3)
    return cases


def file(path: Path) -> Location:
    """A location on disk."""
    return {"storage_type": "filesystem", "key": str(path), "bucket_name": None}


def training(
    labels: list[tuple[Path, list[list[int]]]],
    clf_type: str,
    model: Location,
    located: Callable[[Path], Location],
    epochs: int = EPOCHS,
) -> dict[str, Any]:
    """The message of a training on these files, a tenth of them for each of ref and val."""
    sets: dict[str, dict[str, Any]] = {"train": {}, "ref": {}, "val": {}}
    for i, (path, points) in enumerate(labels):
        name = "ref" if i % 10 == 0 else "val" if i % 10 == 1 else "train"
        sets[name][json.dumps(located(path))] = points
    return {
        "task_name": "train_classifier",
        "job_token": "bench",
        "trainer": {"class_path": "spacer.train_classifier.MiniBatchTrainer"},
        "nbr_epochs": epochs,
        "clf_type": clf_type,
        "labels": sets,
        "previous_model_locs": [],
        "model_loc": model,
        "valresult_loc": {**model, "key": f"{model['key']}.valresult.json"},
        "feature_cache_dir": "auto",
    }


def make_features(folder: Path, classes: int, images: int) -> list[tuple[Path, list[list[int]]]]:
    """Feature files as the reference writes them, and their labels.

    Classes are Gaussian clouds, with a long tail: class k is half as frequent as class k/2.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    centres = rng.normal(0, 1, (classes, DIMENSIONS))
    weights = 1 / np.arange(1, classes + 1)
    found = []
    for i in range(images):
        labels = rng.choice(classes, POINTS_PER_IMAGE, p=weights / weights.sum())
        path = folder / f"{i:04}.featurevector"
        if not path.exists():
            own = np.random.default_rng(i)
            _write(path, centres[labels] + own.normal(0, 6, (POINTS_PER_IMAGE, DIMENSIONS)))
        found.append((path, [[point, point, int(label)] for point, label in enumerate(labels)]))
    hundred = folder / "hundred.featurevector"
    if not hundred.exists():
        _write(hundred, rng.normal(0, 6, (100, DIMENSIONS)))
        # the same vectors as either side writes them
        data = hundred.read_bytes()
        (folder / "reference-own.featurevector").write_bytes(data)
        ours = ImageFeatures.from_bytes(data, hundred.name).to_bytes()
        (folder / "project-own.featurevector").write_bytes(ours)
    return found


def _write(path: Path, vectors: np.ndarray) -> None:
    points = np.arange(len(vectors), dtype=np.uint16)
    with path.open("wb") as stream:
        np.savez_compressed(
            stream,
            meta=np.array([1, *vectors.shape]),
            rows=points,
            cols=points,
            # a network's float32 numbers, which the reference keeps as float64
            feat=vectors.astype(np.float32).astype(float),
        )


def _uploaded(folder: Path, s3: S3Server) -> Callable[[Path], Location]:
    """Where a file of this folder is, once all have been copied to the server."""
    client = s3.client()
    for path in folder.glob("*.featurevector"):
        client.upload_file(str(path), BUCKET, f"{folder.name}/{path.name}")
    return lambda path: {
        "storage_type": "s3",
        "key": f"{folder.name}/{path.name}",
        "bucket_name": BUCKET,
    }
