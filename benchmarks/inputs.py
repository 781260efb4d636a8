"""What both sides work on: a photo, a network, and the messages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
MAKE_WEIGHTS = HERE.parent / "tests" / "fixtures" / "efficientnet" / "make_weights.py"

PHOTO_SIZE = (4000, 3000)


def make_inputs(folder: Path) -> dict[str, dict[str, Any]]:
    """Write the inputs, unless they are there, and give the message of each case.

    Locations of what a side writes are in the messages as `{side}`: each has its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    picture, weights = folder / "photo.jpg", folder / "weights.pt"
    if not picture.exists():
        photo().save(picture, quality=92)
    if not weights.exists():
        subprocess.run([sys.executable, MAKE_WEIGHTS, weights], check=True)
    extractor = extractor_spec(folder)
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
            "image_loc": _file(picture),
            "feature_loc": _file(folder / "{side}.featurevector"),
        }
    return cases


def extractor_spec(folder: Path) -> dict[str, Any]:
    """The extractor of the messages, as JSON."""
    return {
        "class_path": "spacer.extractors.efficientnet.EfficientNetExtractor",
        "data_locations": {"weights": _file(folder / "weights.pt")},
        "data_hashes": {},
    }


def _file(path: Path) -> dict[str, Any]:
    return {"storage_type": "filesystem", "key": str(path), "bucket_name": None}


def photo(size: tuple[int, int] = PHOTO_SIZE) -> Image.Image:
    """A photo of this width and height with real texture: photographs side by side."""
    from skimage import data

    # these come in scikit-image's wheel
    tiles = [Image.fromarray(getattr(data, name)()).convert("RGB") for name in ("coffee", "rocket")]
    canvas = Image.new("RGB", size)
    for i, left in enumerate(range(0, size[0], 800)):
        for j, top in enumerate(range(0, size[1], 600)):
            tile = tiles[(i + j) % len(tiles)].resize((800, 600)).rotate(180 * (i % 2))
            canvas.paste(tile, (left, top))
    return canvas
