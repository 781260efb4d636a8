"""The demo's one task, *train from images*: sent, followed with progress bars, its scores read."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress, TaskID

from spacer_tasks import storage
from spacer_tasks.console import progress_bar
from spacer_tasks.data_classes.labels import Annotation
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.quadrats import Quadrats
from spacer_tasks.jobs.status import TaskState, in_redis, note_of, stage_of
from spacer_tasks.messages.batches import BatchImage, TrainFromImagesMsg, TrainFromImagesReturnMsg
from spacer_tasks.messages.specs import ExtractorSpec
from spacer_tasks.messages.tasks import ClassifyReturnMsg

#: seconds between two looks at the task: short, so that quick epochs are seen
POLL_S = 0.1
TRANSFERS = 8

#: stages of the task as it reports them, and what its bars say
STAGES = {
    "extract": "extract features",
    "features": "read features",
    "training": "train",
    "classify": "classify",
}


def read_points(quadrats: Quadrats) -> dict[str, list[Annotation]]:
    """The true labels by image: (row, column, label)."""
    points: dict[str, list[Annotation]] = {}
    with quadrats.points_csv.open(newline="", encoding="utf-8") as stream:
        for line in csv.DictReader(stream):
            point = (int(line["row"]), int(line["column"]), line["label"])
            points.setdefault(line["image"], []).append(point)
    return points


def batch_message(
    quadrats: Quadrats,
    points: dict[str, list[Annotation]],
    root: DataLocation,
    extractor: ExtractorSpec,
    epochs: int,
) -> TrainFromImagesMsg:
    """Learn from the training quadrats' labels, and classify the test quadrats' points."""
    images = [
        BatchImage(
            image_loc=image_location(root, name),
            feature_loc=root.joined("features", f"{name}.npz"),
            annotations=points[name],
        )
        for name in quadrats.training
    ]
    images += [
        BatchImage(
            image_loc=image_location(root, name),
            feature_loc=root.joined("features", f"{name}.npz"),
            rowcols=[(row, column) for row, column, _ in points[name]],
            scores_loc=_scores_location(root, name),
        )
        for name in quadrats.test
    ]
    return TrainFromImagesMsg(
        job_token="demo",
        extractor=extractor,
        images=images,
        nbr_epochs=epochs,
        model_loc=root.joined("classifier.safetensors"),
        valresult_loc=root.joined("valresult.json"),
        max_failed_share=0,
    )


def image_location(root: DataLocation, name: str) -> DataLocation:
    """Where an image is."""
    return root.joined("images", name)


def _scores_location(root: DataLocation, name: str) -> DataLocation:
    return root.joined("scores", f"{name}.json")


def upload(folder: Path, names: Sequence[str], root: DataLocation) -> None:
    """Put the images into the bucket, with a progress bar."""

    def put(name: str) -> None:
        storage.store(image_location(root, name), (folder / name).read_bytes())

    with progress_bar() as progress, ThreadPoolExecutor(TRANSFERS) as pool:
        bar = progress.add_task("upload to S3", total=len(names), note="")
        for _ in pool.map(put, names):
            progress.advance(bar)


def read_scores(names: Sequence[str], root: DataLocation) -> dict[str, ClassifyReturnMsg]:
    """The scores of the classified images, by name."""

    def get(name: str) -> ClassifyReturnMsg:
        content = storage.load(_scores_location(root, name))
        return ClassifyReturnMsg.model_validate(json.loads(content))

    with ThreadPoolExecutor(TRANSFERS) as pool:
        return dict(zip(names, pool.map(get, names), strict=True))


@dataclass(frozen=True)
class Followed:
    """A finished task: its answer, and the seconds of its stages as seen from outside.

    Reading the features belongs to training.
    """

    answer: TrainFromImagesReturnMsg
    extracting: float
    training: float
    classifying: float


def run_batch(message: TrainFromImagesMsg, check: Callable[[], None]) -> Followed:
    """Send the task and follow it to its end, with a progress bar for each stage.

    Parameters
    ----------
    message
        What to do.
    check
        Called while waiting; it raises when waiting has become useless.

    Raises
    ------
    SpacerError
        What the task failed of, or what `check` raised.
    """
    from spacer_tasks.workflows import train_from_images

    bars: dict[str, TaskID] = {}
    began: dict[str, float] = {}
    with progress_bar() as progress:
        task_id = train_from_images.delay(message).id
        bars["extract"] = progress.add_task(
            STAGES["extract"], total=len(message.images), note="waiting for a worker"
        )
        began["extract"] = time.monotonic()
        state = in_redis(task_id)
        while not state.finished:
            found = stage_of(state.progress)
            if found is not None:
                stage, done, total = found
                if stage not in bars:
                    _fill(progress)
                    bars[stage] = progress.add_task(STAGES[stage], total=total, note="")
                    began[stage] = time.monotonic()
                note = note_of(state.progress)
                progress.update(bars[stage], completed=done, total=total, note=note)
            check()
            time.sleep(POLL_S)
            state = in_redis(task_id)
        ended = time.monotonic()
        answer = _answer(state)
        _fill(progress)
        for stage, total in (("training", message.nbr_epochs), ("classify", answer.classified)):
            # quicker than two looks
            if stage not in bars:
                bars[stage] = progress.add_task(
                    STAGES[stage], total=total, completed=total, note=""
                )
        last = answer.training.ref_accs[-1]
        progress.update(bars["training"], note=f"ref. accuracy {last:.1%}")
    # a stage that was quicker than two looks began when the next one did, or at the end
    classify = began.get("classify", ended)
    train = min(began.get("features", classify), began.get("training", classify))
    return Followed(answer, train - began["extract"], classify - train, ended - classify)


def _fill(progress: Progress) -> None:
    """The last report of a stage may come after the next one's first."""
    for bar in progress.tasks:
        progress.update(bar.id, completed=bar.total)


def _answer(state: TaskState) -> TrainFromImagesReturnMsg:
    if state.error is not None:
        raise state.error.as_exception()
    return TrainFromImagesReturnMsg.model_validate(state.answer)
