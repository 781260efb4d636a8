"""`report.html`: how good a classifier is, on one page that needs nothing else.

It knows nothing of the demo: whoever has validation results can write one.
"""

from __future__ import annotations

import base64
import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spacer_tasks.data_classes.labels import LabelId
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.report.curves import calibration_curve, takes_over, thinned, thresholds
from spacer_tasks.report.templating import rendered
from spacer_tasks.storage.filesystem import FilesystemStorage
from spacer_tasks.training.metrics import Metrics

#: pixels of a photo's longer side in the report: sharp on a phone and in two columns on a desktop
PHOTO_SIDE = 960
PHOTO_QUALITY = 78
#: shares of right answers for which the report says how many points the machine can take over
WANTED = (0.90, 0.95)
#: colours of labels, told apart also by most people who see fewer colours (Okabe and Ito 2008,
#: and two more); further labels get hues of their own
PALETTE = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#f0e442",
    "#0072b2",
    "#d55e00",
    "#cc79a7",
    "#f5f5f5",
    "#8a5a2b",
    "#9b6bdf",
)


@dataclass(frozen=True)
class Stage:
    """A part of the work, how long it took, and in a few words how much it was."""

    name: str
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class PhotoPoint:
    """One classified point of a photo whose true label is known."""

    row: int
    column: int
    truth: LabelId
    predicted: LabelId
    confidence: float


@dataclass(frozen=True)
class Photo:
    """A photo to show: its name, its file's content, its points."""

    name: str
    content: bytes
    points: Sequence[PhotoPoint]


@dataclass(frozen=True)
class ReportData:
    """What a report says.

    Attributes
    ----------
    title, lead
        Its heading, and a sentence or two below.
    results
        Predictions for points whose true labels are known, not used in training.
    weights
        Which network made the features, in a sentence.
    stages
        In the order in which they ran.
    ref_accuracies
        Accuracy on the reference set after each epoch, shares of 1.
    photos
        Shown with their points, in this order.
    facts
        What else a reader may ask, by name.
    credits
        Whose photos are shown.
    """

    title: str
    lead: str
    results: ValResults
    weights: str
    stages: Sequence[Stage] = ()
    ref_accuracies: Sequence[float] = ()
    photos: Sequence[Photo] = ()
    facts: dict[str, str] = field(default_factory=dict)
    credits: Sequence[str] = ()


def write_report(path: Path, data: ReportData) -> None:
    """Write the page.

    Raises
    ------
    TrainingLabelsError
        There is no result to report.
    StorageAccessError, StorageUnavailableError
        The file cannot be written.
    """
    FilesystemStorage().store(str(path), render(data).encode("utf-8"))


def render(data: ReportData) -> str:
    """The page as HTML. Raises `TrainingLabelsError` where there is no result to report."""
    return rendered("report.html.j2", _context(data))


def _context(data: ReportData) -> dict[str, Any]:
    metrics = Metrics.from_val_results(data.results)
    correct = np.asarray(data.results.gt) == np.asarray(data.results.est)
    scores = np.asarray(data.results.scores, dtype=np.float64)
    curve = thresholds(scores, correct)
    support = [each.support for each in metrics.per_class]
    occurring = [each for each in metrics.per_class if each.support]
    colours = _colours(data.results.classes)
    return {
        "data": data,
        "metrics": metrics,
        "chance": 1 / len(metrics.classes),
        "majority": max(support) / sum(support),
        "majority_label": metrics.classes[support.index(max(support))],
        "per_class": sorted(occurring, key=lambda each: -each.recall),
        "confusion": [
            (label, [(count, count / max(1, sum(row))) for count in row])
            for label, row in zip(metrics.classes, metrics.confusion_matrix, strict=True)
        ],
        "calibration": calibration_curve(scores, correct),
        "curve": thinned(curve),
        "takes_over": [(wanted, takes_over(curve, wanted)) for wanted in WANTED],
        "total_seconds": sum(stage.seconds for stage in data.stages),
        "colours": colours,
        "photos": [_shown(photo, colours) for photo in data.photos],
    }


def _colours(classes: Sequence[LabelId]) -> dict[LabelId, str]:
    more = len(classes) - len(PALETTE)
    hues = (colorsys.hls_to_rgb(i / max(1, more), 0.6, 0.6) for i in range(more))
    extra = [
        f"#{int(255 * red):02x}{int(255 * green):02x}{int(255 * blue):02x}"
        for red, green, blue in hues
    ]
    return dict(zip(classes, [*PALETTE, *extra], strict=False))


def _shown(photo: Photo, colours: dict[LabelId, str]) -> dict[str, Any]:
    """A photo made small, with its points in the small photo's pixels."""
    with Image.open(BytesIO(photo.content)) as image:
        small = image.convert("RGB")
        full_width = small.width
    small.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    stream = BytesIO()
    small.save(stream, "JPEG", quality=PHOTO_QUALITY, optimize=True)
    scale = small.width / full_width
    points = [
        {
            "x": (point.column + 0.5) * scale,
            "y": (point.row + 0.5) * scale,
            "hit": point.predicted == point.truth,
            "colour": colours[point.predicted],
            "point": point,
        }
        for point in photo.points
    ]
    return {
        "name": photo.name,
        "uri": "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii"),
        "width": small.width,
        "height": small.height,
        # marks as large on a portrait as on a landscape
        "radius": max(small.size) / 70,
        "points": points,
        "hits": sum(each["hit"] for each in points),
    }
