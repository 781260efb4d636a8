"""A small survey: a folder of photos, and a CSV of points."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"algae": (60, 140, 60), "coral": (200, 60, 90), "sand": (215, 190, 130)}
LABELS = sorted(COLOURS)
#: (row, column), inside photos of 64 x 48 pixels
POINTS = [(row, column) for row in (10, 24, 38) for column in (10, 32, 54)]
DUMMY = ("--extractor", "dummy", "--extractor-option", "feature_dim=16")


def label_of(image: int) -> str:
    """Each photo shows one thing."""
    return LABELS[image % len(LABELS)]


def write_photos(folder: Path, count: int) -> list[str]:
    """Photos `0.png`, `1.png`, …, each of one colour with noise; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        noise = np.random.default_rng(i).normal(0, 10, (48, 64, 3))
        pixels = np.clip(np.array(COLOURS[label_of(i)]) + noise, 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return [f"{i}.png" for i in range(count)]


def write_points(path: Path, images: list[str], unlabelled: Collection[str] = ()) -> Path:
    """The CSV of all points of these photos; no label in those that are `unlabelled`."""
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["Name", "Row", "Column", "Label"])
        for name in images:
            label = "" if name in unlabelled else label_of(int(Path(name).stem))
            rows.writerows([name, row, column, label] for row, column in POINTS)
    return path


def read_predictions(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV that `classify` wrote."""
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))
