"""A network that an installed package brings: the very code of docs/networks.md, on every way."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spacer_tasks import storage
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.results import load_answer
from spacer_tasks.tasks import classify_image, extract_features
from tests.plugins.reef_net import reef_net
from tests.support.checkout import CHECKOUT
from tests.support.survey import POINTS, label_of, read_predictions, write_photos, write_points
from tests.support.workers import StartWorker

PAGE = CHECKOUT / "docs" / "networks.md"
CODE = CHECKOUT / "tests" / "plugins" / "reef_net.py"
INSTALLED = {"PYTHONPATH": f"{CHECKOUT}:{CODE.parent}"}
WIDTH = 6
#: relative to the numbers of the package's own torch module
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, their points, and the network's file."""
    folder = tmp_path_factory.mktemp("survey")
    write_points(folder / "points.csv", write_photos(folder / "photos", 12))
    torch.manual_seed(0)
    torch.save(reef_net(WIDTH).state_dict(), folder / "reef.pt")
    return folder


@pytest.fixture(scope="module")
def predictions(survey: Path) -> list[dict[str, str]]:
    """What the three commands of a researcher come to."""
    sha256 = hashlib.sha256((survey / "reef.pt").read_bytes()).hexdigest()
    network = ["--extractor", "reef-net", "--extractor-file", "net=reef.pt"]
    network += ["--extractor-option", f"width={WIDTH}", "--sha256", f"net={sha256}"]
    points, features = ["--points", "points.csv"], ["--features", "features"]
    classifier = ["--classifier", "reef.safetensors"]
    command("extract", "photos", *points, *features, *network, cwd=survey)
    split = ["--split-mode", "points", "--epochs", "30"]
    command("train", *points, *features, *classifier, *split, cwd=survey)
    command("classify", *features, *classifier, "-o", "predictions.csv", cwd=survey)
    return read_predictions(survey / "predictions.csv")


def command(*arguments: str, cwd: Path) -> str:
    """What a command of `spacer-tasks` prints where the package is installed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("SPACER_")}
    ran = subprocess.run(
        [sys.executable, "-m", "spacer_tasks.cli", *arguments],
        cwd=cwd,
        env={**env, **INSTALLED, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def expected_vectors(survey: Path, image: int) -> Any:
    """The features of a photo by the package's module alone, in torch."""
    from PIL import Image

    from spacer_tasks.extractors import cut_patches

    net = reef_net(WIDTH).eval()
    net.load_state_dict(torch.load(survey / "reef.pt", weights_only=True))
    patches = cut_patches(np.asarray(Image.open(survey / "photos" / f"{image}.png")), POINTS, 96)
    pixels = torch.from_numpy(patches).permute(0, 3, 1, 2) / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.inference_mode():
        return net((pixels - mean) / deviation).numpy()


def check_features(data: bytes, survey: Path, image: int) -> None:
    features = ImageFeatures.from_bytes(data, "features")
    assert features.origin["extractor"]["name"] == "reef-net"
    assert features.origin["extractor"]["options"] == {"width": WIDTH}
    expected = expected_vectors(survey, image)
    assert features.vectors.shape == expected.shape == (len(POINTS), 2 * WIDTH)
    off = np.linalg.norm(features.vectors - expected, axis=1)
    assert (off / np.linalg.norm(expected, axis=1)).max() < TOLERANCE


def test_the_page_shows_this_code_and_it_is_short() -> None:
    shown = f"{{literalinclude}} {os.path.relpath(CODE, PAGE.parent)}"
    assert shown in PAGE.read_text()
    assert len(CODE.read_text().splitlines()) < 40
    assert f"reef-net = {json.dumps('reef_net:ReefExtractor')}" in PAGE.read_text()


def test_it_is_listed_with_its_files_and_options(survey: Path) -> None:
    listed = command("extractors", cwd=survey)
    (_, found) = listed.split("reef-net (reef-net 1.0)\n")
    lines = [line.strip() for line in found.splitlines()][:4]
    assert lines == [
        "Features are the mean of a small network's last layer.",
        "patches of 96 × 96",
        "--extractor-file net=…: what torch.save(net.state_dict()) wrote",
        "--extractor-option width=…: channels of the first layer (8 if not given)",
    ]


def test_the_command_line_extracts_trains_and_classifies_with_it(
    survey: Path, predictions: list[dict[str, str]]
) -> None:
    check_features((survey / "features" / "0.png.npz").read_bytes(), survey, 0)
    assert len(predictions) == 12 * len(POINTS)
    right = [row["label"] == label_of(int(Path(row["image"]).stem)) for row in predictions]
    # each photo has a colour of its own
    assert np.mean(right) > 0.9


def test_a_worker_s_tasks_extract_and_classify_with_it(
    survey: Path,
    predictions: list[dict[str, str]],
    bucket: str,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    for name, path in (
        ("reef.pt", "reef.pt"),
        ("image.png", "photos/1.png"),
        ("reef.safetensors", "reef.safetensors"),
    ):
        storage.store(DataLocation.parse(f"s3://{bucket}/{name}"), (survey / path).read_bytes())

    def location(name: str) -> dict[str, Any]:
        return DataLocation.parse(f"s3://{bucket}/{name}").model_dump()

    extractor = {
        "class_path": "reef-net",
        "width": WIDTH,
        "data_locations": {"net": location("reef.pt")},
    }
    worker = start_worker(
        "feature",
        "--concurrency=2",
        SPACER_WARM_EXTRACTOR=json.dumps(extractor),
        SPACER_EXTRACTORS_CACHE_DIR=str(tmp_path),
        **INSTALLED,
    )
    assert "network ready: {'name': 'reef-net'" in worker.log_path.read_text()
    message = {
        "job_token": "1",
        "extractor": extractor,
        "rowcols": POINTS,
        "image_loc": location("image.png"),
    }
    extracted = extract_features.delay({**message, "feature_loc": location("image.npz")})
    classified = classify_image.delay({**message, "classifier_loc": location("reef.safetensors")})
    extracted.get(timeout=120)
    check_features(storage.load(DataLocation.parse(f"s3://{bucket}/image.npz")), survey, 1)
    classified.get(timeout=120)
    answer = load_answer(classified.id)
    best = [answer["classes"][int(np.argmax(scores))] for _, _, scores in answer["scores"]]
    assert best == [row["label"] for row in predictions if row["image"] == "1.png"]
