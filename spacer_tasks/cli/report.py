"""The page that `spacer-tasks train --report` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spacer_tasks import storage
from spacer_tasks.console import warn
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.labels import Annotation
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import SpacerError
from spacer_tasks.extractors import load_image
from spacer_tasks.messages.tasks import TrainClassifierMsg, TrainClassifierReturnMsg
from spacer_tasks.report.page import Photo, PhotoPoint, ReportData, Stage, write_report

#: photos that the page shows; each adds some 200 kB to it
PHOTOS = 8


def write_training_report(
    path: Path, message: TrainClassifierMsg, answer: TrainClassifierReturnMsg
) -> None:
    """Write the page about a finished training.

    It shows photos of the validation set where features say which photo they are of, and it is
    still there.

    Raises
    ------
    SpacerError
        The validation results cannot be read or the page cannot be written.
    """
    results = ValResults.model_validate_json(storage.load(message.valresult_loc))
    validation = message.labels.val
    facts = {
        f"{name} set": f"{labels.label_count:,} points of {len(labels):,} images"
        for name, labels in message.labels.sets().items()
    }
    facts["classifier"] = f"{message.clf_type}, {message.nbr_epochs} epochs: {message.model_loc}"
    for loc, accuracy in zip(message.previous_model_locs, answer.pc_accs, strict=True):
        facts[f"accuracy of {loc.filename}"] = f"{accuracy:.1%} on the same points"
    lead = f"How well it labels {len(results.gt):,} points that it was not trained on."
    if answer.left_out:
        lead += f" {answer.left_out.text()}."
        facts["labels not learned"] = f"{answer.left_out.text()}. {answer.left_out.advice()}."
    extractor = ""
    photos: list[Photo] = []
    start = 0
    for loc in validation.keys():  # noqa: SIM118 -- no dict
        annotations = validation[loc]
        if len(photos) < PHOTOS:
            origin = _origin(loc)
            extractor = extractor or str(origin.get("extractor", {}).get("name", ""))
            points = _points(annotations, results, start)
            photos += _photo(str(origin.get("image", "")), points)
        start += len(annotations)
    write_report(
        path,
        ReportData(
            title=message.model_loc.filename,
            lead=lead,
            results=results,
            weights=f"Features by {extractor or 'an extractor that their files do not name'}.",
            stages=[Stage("training", answer.runtime)],
            ref_accuracies=answer.ref_accs,
            photos=photos,
            facts=facts,
        ),
    )


def _origin(features: DataLocation) -> dict[str, Any]:
    return ImageFeatures.from_bytes(storage.load(features), str(features)).origin


def _points(annotations: list[Annotation], results: ValResults, start: int) -> list[PhotoPoint]:
    """The points of an image: results are in the order of the validation set's annotations."""
    return [
        PhotoPoint(row, column, truth, results.classes[results.est[i]], results.scores[i])
        for i, (row, column, truth) in enumerate(annotations, start)
    ]


def _photo(image: str, points: list[PhotoPoint]) -> list[Photo]:
    if not image:
        return []
    location = DataLocation.parse(image)
    try:
        content = storage.load(location)
        load_image(content, str(location))
        return [Photo(location.filename, content, points)]
    except SpacerError as error:
        warn(f"not shown in the report: {error}")
        return []
