"""How time and memory grow with the work: curves, and a table of them.

`python -m benchmarks.growth` alone, or as a part of `make bench`. Only this project runs: that it
stays flat is what is asked here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.curves import Curve
from benchmarks.inputs import extractor_spec, make_inputs, photo
from benchmarks.queue_growth import queue_curves
from benchmarks.sides import CACHE, Side, start
from benchmarks.training import DIMENSIONS, POINTS_PER_IMAGE, file, make_features, training

POINTS = (1, 3, 10, 30, 100, 300, 1000)
MEGAPIXELS = (1, 3, 10, 30, 100)
LABELS = (1_000, 10_000, 50_000, 100_000, 1_000_000)
CLASSES = (2, 10, 100, 1000)
EPOCHS = 3
#: runs of each case after the first, which is not counted; one where a run takes long
REPEATS = 3
#: labels and points from which a case is run once
LONG = 300

FOLDER = CACHE / "growth"


def curves(threads: int) -> Iterator[Curve]:
    """Measure one after the other."""
    make_inputs(CACHE / "inputs")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        side = start(stack, "project", Path(sys.executable), threads)
        yield from _extraction_curves(side)
        yield from _class_curves(side)
    # a process of its own: the peak of the largest is what counts
    with ExitStack() as stack:
        yield _label_curve(start(stack, "project", Path(sys.executable), threads))
    yield from (Curve(**curve) for curve in queue_curves())


def _run(side: Side, case: str, message: dict[str, Any], repeats: int = REPEATS) -> float:
    for repeat in range(repeats + 1):
        side.run(case, dict(message), keep=repeat > 0)
    return side.median_seconds(case)


# --- extraction ------------------------------------------------------------------------------


def _extraction_curves(side: Side) -> Iterator[Curve]:
    seconds, taken, decoded, held = [], [], [], 0.0
    for size in MEGAPIXELS:
        path = FOLDER / f"{size}.jpg"
        width = int((size * 1_000_000 * 4 / 3) ** 0.5)
        if not path.exists():
            photo((width, size * 1_000_000 // width)).save(path, quality=92)
        case = f"{size} megapixels"
        seconds.append(_run(side, case, _extraction(path, 10)))
        # what the network takes is there before the smallest
        held = held or side.held[case][0]
        taken.append(max(side.peaks[case]) - held)
        decoded.append(size * 3e6 / 2**20)
    yield Curve("Size of an image", "megapixels, 10 points", "seconds", MEGAPIXELS, {"": seconds})
    yield Curve(
        "Memory for an image",
        "megapixels, 10 points",
        "MiB",
        MEGAPIXELS,
        {"over what the process held": taken, "the decoded photo alone": decoded},
    )
    image = CACHE / "inputs" / "photo.jpg"
    seconds = []
    for count in POINTS:
        repeats = 1 if count >= LONG else REPEATS
        seconds.append(_run(side, f"{count} points", _extraction(image, count), repeats))
    yield Curve(
        "Points of an image",
        "points, photo of 12 megapixels",
        "seconds",
        POINTS,
        {"extract": seconds},
    )


def _extraction(image: Path, count: int) -> dict[str, Any]:
    with Image.open(image) as opened:
        width, height = opened.size
    rng = np.random.default_rng(count)
    rows, cols = rng.integers(0, height, count).tolist(), rng.integers(0, width, count).tolist()
    return {
        "task_name": "extract_features",
        "job_token": "growth",
        "extractor": extractor_spec(CACHE / "inputs"),
        "rowcols": [list(point) for point in zip(rows, cols, strict=True)],
        "image_loc": file(image),
        "feature_loc": file(FOLDER / "out.featurevector"),
    }


# --- training and classification -------------------------------------------------------------


def _class_curves(side: Side) -> Iterator[Curve]:
    trained: dict[str, list[float]] = {"MLP": [], "LR": []}
    scored: dict[str, list[float]] = {"MLP": [], "LR": []}
    for classes in CLASSES:
        labels = make_features(FOLDER / f"classes-{classes}", classes, 200)
        for clf_type in trained:
            model = file(FOLDER / f"{clf_type}-{classes}.model")
            message = training(labels, clf_type, model, file, EPOCHS)
            case = f"{clf_type}, {classes} classes"
            trained[clf_type].append(_run(side, f"train {case}", message, 1))
            scored[clf_type].append(
                1000
                * _run(
                    side,
                    f"classify {case}",
                    {
                        "task_name": "classify_features",
                        "job_token": "growth",
                        "feature_loc": file(
                            FOLDER / f"classes-{classes}" / "project-own.featurevector"
                        ),
                        "classifier_loc": model,
                    },
                    20,
                )
            )
    x_label = "classes, 10,000 labels"
    yield Curve("Classes, training", x_label, f"seconds, {EPOCHS} epochs", CLASSES, trained)
    yield Curve("Classes, classification", "classes, 100 points", "milliseconds", CLASSES, scored)


def _label_curve(side: Side) -> Curve:
    """Microseconds a label and epoch; the largest in a matrix that lies in a file."""
    base = make_features(FOLDER / "labels", 20, 1000)
    per_label, over = [], []
    for count in LABELS:
        images = count // POINTS_PER_IMAGE
        labels = list(_linked(base, images))
        model = file(FOLDER / "labels.model")
        case = f"{count} labels"
        message = training(labels, "MLP", model, file, EPOCHS)
        # both sides of the usual threshold train the larger network
        message["trainer"]["mlp_hidden_layer_sizes"] = [200, 100]
        message["trainer"]["mlp_learning_rate_init"] = 1e-4
        seconds = _run(side, case, message, 1 if count >= 100_000 else REPEATS)
        per_label.append(seconds / count / EPOCHS * 1e6)
        over.append(max(side.peaks[case]) - count * DIMENSIONS * 4 / 2**20)
    return Curve(
        "Labels",
        "labels of 1280 numbers, 20 classes, MLP",
        "µs a label and epoch; MiB",
        LABELS,
        {"time a label and epoch": per_label, "memory over the matrix": over},
    )


def _linked(
    base: list[tuple[Path, list[list[int]]]], images: int
) -> Iterator[tuple[Path, list[list[int]]]]:
    """As many feature files as asked for: the same thousand under other names."""
    for number in range(images):
        path, points = base[number % len(base)]
        if number < len(base):
            yield path, points
            continue
        link = FOLDER / "links" / f"{number:06}.featurevector"
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            os.link(path, link)
        yield link, points


# --- the page --------------------------------------------------------------------------------


def table(measured: list[Curve]) -> str:
    """The curves as Markdown tables."""
    parts = []
    for curve in measured:
        head = " | ".join(f"{x:,g}" for x in curve.x)
        rows = [f"| {curve.x_label} | {head} |", "|---" * (len(curve.x) + 1) + "|"]
        for name, values in curve.lines.items():
            cells = " | ".join(_number(value) for value in values)
            rows.append(f"| {name or curve.title} ({curve.y_label}) | {cells} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def section(threads: int, plot: Path, draw: Callable[[list[Curve], Path], None]) -> str:
    """Measure, draw, and give the section of docs/benchmarks.md."""
    measured = []
    for curve in curves(threads):
        measured.append(curve)
        print(json.dumps({curve.title: curve.lines}), flush=True)
    draw(measured, plot)
    return (
        "## As work grows\n\n"
        f"![Time and memory against the size of the work]({plot.name})\n\n"
        f"{table(measured)}\n\n"
        "Trainings of a million labels keep their matrix (5 GB) in a file; their feature files are"
        " a thousand files under twenty names each. The queue carries classifications.\n"
    )


if __name__ == "__main__":
    from benchmarks.plots import draw

    print(section(os.cpu_count() or 1, CACHE / "growth.svg", draw))
