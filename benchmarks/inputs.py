"""What both sides work on: a photo, a network, features with labels, and the messages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
MAKE_WEIGHTS = HERE.parent / "tests" / "fixtures" / "efficientnet" / "make_weights.py"

PHOTO_SIZE = (4000, 3000)
DIMENSIONS = 1280
CLASSES = 20
IMAGES = 200
POINTS_PER_IMAGE = 50
EPOCHS = 10


def make_inputs(folder: Path) -> dict[str, dict[str, Any]]:
    """Write the inputs, unless they are there, and give the message of each case.

    Locations of what a side writes are in the messages as `{side}`: each has its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    photo, weights = folder / "photo.jpg", folder / "weights.pt"
    if not photo.exists():
        _photo().save(photo, quality=92)
    if not weights.exists():
        subprocess.run([sys.executable, MAKE_WEIGHTS, weights], check=True)
    labels = _features(folder / "features")
    extractor = {
        "class_path": "spacer.extractors.efficientnet.EfficientNetExtractor",
        "data_locations": {"weights": _file(weights)},
        "data_hashes": {},
    }
    cases: dict[str, dict[str, Any]] = {}
    rng = np.random.default_rng(3)
    for points in (10, 25, 100):
        rows = rng.integers(0, PHOTO_SIZE[1], points).tolist()
        cols = rng.integers(0, PHOTO_SIZE[0], points).tolist()
        cases[f"extract {points} points"] = {
            "task_name": "extract_features",
            "job_token": "bench",
            "extractor": extractor,
            "rowcols": [list(point) for point in zip(rows, cols, strict=True)],
            "image_loc": _file(photo),
            "feature_loc": _file(folder / "{side}.featurevector"),
        }
    for clf_type in ("MLP", "LR"):
        model = _file(folder / f"{{side}}-{clf_type}.model")
        cases[f"train 10,000 labels, {clf_type}"] = {
            "task_name": "train_classifier",
            "job_token": "bench",
            "trainer": {"class_path": "spacer.train_classifier.MiniBatchTrainer"},
            "nbr_epochs": EPOCHS,
            "clf_type": clf_type,
            "labels": labels,
            "previous_model_locs": [],
            "model_loc": model,
            "valresult_loc": _file(folder / f"{{side}}-{clf_type}.valresult.json"),
            "feature_cache_dir": "auto",
        }
        cases[f"classify 100 points, {clf_type}"] = {
            "task_name": "classify_features",
            "job_token": "bench",
            "feature_loc": _file(folder / "features" / "hundred.featurevector"),
            "classifier_loc": model,
        }
    return cases


def _file(path: Path) -> dict[str, Any]:
    return {"storage_type": "filesystem", "key": str(path), "bucket_name": None}


def _photo() -> Image.Image:
    """A photo of 12 megapixels with real texture: photographs side by side."""
    from skimage import data

    # these come in scikit-image's wheel
    tiles = [Image.fromarray(getattr(data, name)()).convert("RGB") for name in ("coffee", "rocket")]
    canvas = Image.new("RGB", PHOTO_SIZE)
    for i, left in enumerate(range(0, PHOTO_SIZE[0], 800)):
        for j, top in enumerate(range(0, PHOTO_SIZE[1], 600)):
            tile = tiles[(i + j) % len(tiles)].resize((800, 600)).rotate(180 * (i % 2))
            canvas.paste(tile, (left, top))
    return canvas


def _features(folder: Path) -> dict[str, Any]:
    """Feature files as the reference writes them, and their labels in three sets.

    Classes are Gaussian clouds, with a long tail: class k is half as frequent as class k/2.
    """
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(5)
    centres = rng.normal(0, 1, (CLASSES, DIMENSIONS))
    weights = 1 / np.arange(1, CLASSES + 1)
    sets: dict[str, dict[str, Any]] = {"train": {}, "ref": {}, "val": {}}
    for i in range(IMAGES):
        labels = rng.choice(CLASSES, POINTS_PER_IMAGE, p=weights / weights.sum())
        vectors = centres[labels] + rng.normal(0, 4, (POINTS_PER_IMAGE, DIMENSIONS))
        path = folder / f"{i:03}.featurevector"
        _write(path, vectors)
        name = "ref" if i % 10 == 0 else "val" if i % 10 == 1 else "train"
        sets[name][json.dumps(_file(path))] = [
            [point, point, int(label)] for point, label in enumerate(labels)
        ]
    _write(folder / "hundred.featurevector", rng.normal(0, 4, (100, DIMENSIONS)))
    return sets


def _write(path: Path, vectors: np.ndarray) -> None:
    if path.exists():
        return
    points = np.arange(len(vectors), dtype=np.uint16)
    with path.open("wb") as stream:
        np.savez_compressed(
            stream,
            meta=np.array([1, *vectors.shape]),
            rows=points,
            cols=points,
            feat=vectors.astype(float),
        )
