"""Run the whole job through the deployment's workers, on made-up photos: does it work?

    docker compose run --rm client python deploy/smoke.py

It stores photos of three textures on S3, sends `train_from_images` with the network that the
workers are to use (`SPACER_WARM_EXTRACTOR`, else one with random weights, made and stored here),
waits, and prints the answer in short. Every fifth photo has no labels and is classified; one file
is no photo and must be named in the answer. It ends with an error where the classifier is no
better than `LEAST_ACCURACY`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import uuid
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spacer_tasks import storage, wait
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.network import write_network
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.specs import ExtractorSpec
from spacer_tasks.messages.tasks import ClassifyReturnMsg
from spacer_tasks.results import results_location
from spacer_tasks.workflows import train_from_images

LABELS = ("algae", "coral", "sand")
#: pixels; a patch around a tile's centre shows little else
TILE = 224
#: chance is a third; the textures differ plainly
LEAST_ACCURACY = 0.8


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description="Run the whole job through the workers.")
    parser.add_argument("--images", type=int, default=30, help="photos to make (default: 30)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds (default: 600)")
    parser.add_argument(
        "--extractor", choices=("network", "dummy"), default="network",
        help="dummy: random features, which show that tasks travel and no more",
    )  # fmt: skip
    options = parser.parse_args()
    folder = results_location().joined("smoke", uuid.uuid4().hex[:12])

    tiles = store_photos(folder, options.images)
    extractor = ExtractorSpec(class_path="dummy", feature_dim=64)
    if options.extractor == "network":
        extractor = network(folder)
    message = batch(folder, tiles, extractor)
    began = time.monotonic()
    sent = train_from_images.delay(message)
    print(f"sent {len(tiles)} photos to {folder.uri} as task {sent.id}", flush=True)
    summary = wait(sent, options.timeout)
    seconds = time.monotonic() - began

    scored, right = score(folder, tiles)
    shown = {
        "seconds": round(seconds, 1),
        "task": sent.id,
        "extractor": extractor.class_path,
        **{name: summary[name] for name in ("images", "extracted", "skipped", "classified")},
        "failed": [failure["name"] for failure in summary["failures"]],
        "validation_accuracy": summary["training"]["acc"],
        "points_classified": scored,
        "points_right": right,
    }
    print(json.dumps(shown))
    if shown["failed"] != [bad_photo(folder).uri]:
        sys.exit(f"expected one failure, {bad_photo(folder).uri}, and no other")
    if options.extractor == "network" and right < LEAST_ACCURACY * scored:
        sys.exit(f"{right} of {scored} points are right: less than {LEAST_ACCURACY:.0%}")


def store_photos(folder: DataLocation, count: int) -> list[list[str]]:
    """Photos of 2 by 2 tiles, and for each the labels of its tiles in reading order."""
    random = np.random.default_rng(1)
    photos = [random.choice(LABELS, 4).tolist() for _ in range(count)]
    for index, tiles in enumerate(photos):
        textures = [texture(label, random) for label in tiles]
        pixels = np.vstack([np.hstack(textures[:2]), np.hstack(textures[2:])])
        stream = BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=90)
        storage.store(photo(folder, index), stream.getvalue())
    storage.store(bad_photo(folder), b"no photo")
    return photos


def texture(label: str, random: np.random.Generator) -> NDArray[np.uint8]:
    """One tile: bright grains, red stripes, or green blotches."""
    if label == "sand":
        colour, grain = (210, 190, 140), 1
    elif label == "coral":
        colour, grain = (190, 80, 90), 8
    else:
        colour, grain = (70, 130, 70), 16
    coarse = random.normal(0, 30, (TILE // grain, TILE // grain))
    if label == "coral":
        coarse = np.broadcast_to(coarse[:1], coarse.shape)
    fine = np.kron(coarse, np.ones((grain, grain)))
    shades = np.array(colour) + fine[:, :, None] + random.normal(0, 8, (TILE, TILE, 3))
    pixels: NDArray[np.uint8] = np.clip(shades, 0, 255).astype(np.uint8)
    return pixels


def network(folder: DataLocation) -> ExtractorSpec:
    """The network that the workers load at start, else one with random weights."""
    spec = get_settings().warm_extractor
    if spec is not None:
        return parse(ExtractorSpec, spec)
    weights = folder.joined("weights.pt")
    with tempfile.TemporaryDirectory() as temporary:
        photos = []
        for index in range(3):
            photos.append(Path(temporary) / f"{index}.jpg")
            photos[-1].write_bytes(storage.load(photo(folder, index)))
        path = Path(temporary) / "weights.pt"
        write_network(path, photos, seed=1)
        storage.store(weights, path.read_bytes())
    return ExtractorSpec(
        class_path="spacer_tasks.extractors.EfficientNetExtractor",
        data_locations={"weights": weights},
    )


def batch(
    folder: DataLocation, photos: list[list[str]], extractor: ExtractorSpec
) -> dict[str, Any]:
    """The message: every fifth photo without labels, and one file that is no photo."""
    images = []
    for index, tiles in enumerate(photos):
        points = [
            (row * TILE + TILE // 2, column * TILE + TILE // 2)
            for row in range(2)
            for column in range(2)
        ]
        entry: dict[str, Any] = {
            "image_loc": photo(folder, index).model_dump(),
            "feature_loc": folder.joined(f"{index}.npz").model_dump(),
        }
        if is_unlabelled(index):
            entry["rowcols"] = points
        else:
            entry["annotations"] = [
                (*point, label) for point, label in zip(points, tiles, strict=True)
            ]
        images.append(entry)
    images.append(
        {
            "image_loc": bad_photo(folder).model_dump(),
            "feature_loc": folder.joined("bad.npz").model_dump(),
            "rowcols": [(1, 1)],
        }
    )
    return {
        "job_token": "smoke",
        "extractor": extractor.model_dump(mode="json"),
        "images": images,
        "nbr_epochs": 10,
        "clf_type": "LR",
        "split_mode": "points_stratified",
        "model_loc": folder.joined("classifier.safetensors").model_dump(),
        "valresult_loc": folder.joined("valresult.json").model_dump(),
    }


def score(folder: DataLocation, photos: list[list[str]]) -> tuple[int, int]:
    """How many points of photos without labels were classified, and how many rightly."""
    scored = right = 0
    for index, tiles in enumerate(photos):
        if is_unlabelled(index):
            stored = storage.load(folder.joined(f"{index}.npz.scores.json"))
            answer = ClassifyReturnMsg.model_validate_json(stored)
            for label, (_, _, probabilities) in zip(tiles, answer.scores, strict=True):
                scored += 1
                right += answer.classes[int(np.argmax(probabilities))] == label
    return scored, right


def is_unlabelled(index: int) -> bool:
    """Whether a photo is there to be classified."""
    return index % 5 == 4


def photo(folder: DataLocation, index: int) -> DataLocation:
    """Where a photo is."""
    return folder.joined(f"{index}.jpg")


def bad_photo(folder: DataLocation) -> DataLocation:
    """Where the file is that is no photo."""
    return folder.joined("bad.jpg")


if __name__ == "__main__":
    main()
