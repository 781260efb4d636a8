"""The whole job on one machine, through the queue, on photographs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table

from spacer_tasks import storage
from spacer_tasks.console import counted, out, progress_bar, say
from spacer_tasks.data_classes.labels import Annotation
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.demo.batch import batch_message, read_points, read_scores, run_batch, upload
from spacer_tasks.demo.deployment import servers, workers
from spacer_tasks.demo.network import write_network
from spacer_tasks.demo.photographs import PHOTOGRAPHS
from spacer_tasks.demo.processes import exit_on_sigterm
from spacer_tasks.demo.quadrats import POINTS_PER_QUADRAT, Quadrats, make_quadrats
from spacer_tasks.exceptions import InputError
from spacer_tasks.extractors.efficientnet import imagenet_weights
from spacer_tasks.messages.specs import ExtractorSpec
from spacer_tasks.messages.tasks import ClassifyReturnMsg
from spacer_tasks.report.page import Photo, PhotoPoint, ReportData, Stage, write_report
from spacer_tasks.report.templating import duration
from spacer_tasks.training.metrics import Metrics

#: fewer leave a set of the training, or the test, with too few labels
LEAST_IMAGES = 12
#: photos that the report shows
SHOWN_PHOTOS = 6
EXTRACTOR = "spacer_tasks.extractors.EfficientNetExtractor"
LITE = ExtractorSpec(class_path="efficientnet-lite0")


@dataclass(frozen=True)
class Network:
    """What is said of the network that the demo uses, in a sentence and in a few words."""

    told: str
    fact: str
    style: str = ""


IMAGENET = Network(
    "The network is EfficientNet-Lite0, trained on ImageNet, as no --weights are given. CoralNet's"
    " own weights are better for reefs: --weights s3://…/efficientnet_b0_ver1.pt.",
    "efficientnet-lite0, trained on ImageNet",
)
SEEDED = Network(
    "The network is seeded, not trained: an EfficientNet-B0 with random weights that are only"
    " scaled to these photos. It shows that every part works; a trained network is far better:"
    f" {imagenet_weights.INSTALL}, or give one with --weights LOCATION.",
    "seeded, untrained",
    "yellow",
)


@dataclass(frozen=True)
class DemoResult:
    """What came out: how good the classifier is on test images, the times, and the files."""

    metrics: Metrics
    stages: Sequence[Stage]
    report: Path
    classifier: Path


def run_demo(
    output: Path,
    images: int = 120,
    epochs: int = 30,
    weights: DataLocation | None = None,
    seed: int = 0,
) -> DemoResult:
    """Make quadrats, train and classify through a private queue, and write `report.html`.

    Redis, an S3 server, a worker of each pool and Flower run as processes of their own on free
    ports, and are stopped at the end whatever happens.

    Parameters
    ----------
    output
        Folder for the report, the quadrats, the classifier and the processes' logs; made if
        needed.
    images
        Quadrats, at least `LEAST_IMAGES`. The last quarter is classified, the others trained on.
    epochs
        Of the training.
    weights
        EfficientNet-B0 weights, read with this process's settings. Where not given,
        EfficientNet-Lite0 trained on ImageNet; where the extra `imagenet` is not installed, a
        seeded, untrained network.
    seed
        The same seed gives the same quadrats, and the same network where it is seeded.

    Raises
    ------
    InputError
        Too few images; weights that are not there or not of the network.
    ServiceError
        A process did not start, or ended; the text has the end of its log.
    """
    if images < LEAST_IMAGES:
        raise InputError(f"{images} images: the demo needs at least {LEAST_IMAGES}")
    given = None if weights is None else storage.load(weights)
    network = _network(weights)
    say(network.told, network.style)
    output = output.resolve()
    clock = _Clock()
    with exit_on_sigterm(), ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="spacer-demo-")))
        with clock.stage("make quadrats", counted(images, "photo")):
            quadrats = _make_quadrats(output / "quadrats", images, seed)
        points = read_points(quadrats)
        if given is None and network is not IMAGENET:
            with clock.stage("make a network", "random weights, scaled to the photos"):
                given = _seeded_network(folder / "weights.pt", quadrats, seed)
        with clock.stage("start Redis and S3"):
            root = stack.enter_context(servers(folder))
        with clock.stage("upload", f"{_megabytes(quadrats):.0f} MB"):
            extractor = LITE if given is None else _uploaded(given, root)
            upload(quadrats.folder, [*quadrats.training, *quadrats.test], root)
        with clock.stage("start workers and Flower"):
            running = stack.enter_context(workers(output / "logs", extractor))
            say(f"workers ready; Flower shows them at {running.flower_url} until the end", "dim")
        batch = run_batch(batch_message(quadrats, points, root, extractor, epochs), running.check)
        clock.add(
            "extract features", batch.extracting, counted(images * POINTS_PER_QUADRAT, "point")
        )
        clock.add("train", batch.training, counted(epochs, "epoch"))
        classified = counted(len(quadrats.test) * POINTS_PER_QUADRAT, "point")
        clock.add("classify", batch.classifying, classified)
        scores = read_scores(quadrats.test, root)
        classifier = output / batch.answer.model_loc.filename
        classifier.write_bytes(storage.load(batch.answer.model_loc))
    predicted = {name: _predictions(scores[name], points[name]) for name in quadrats.test}
    results = _results(predicted)
    report = output / "report.html"
    data = _report(
        quadrats, predicted, results, batch.answer.training.ref_accs, network, clock.stages
    )
    facts = {"seed": str(seed), "weights": network.fact}
    write_report(report, replace(data, facts={**data.facts, **facts}))
    result = DemoResult(Metrics.from_val_results(results), clock.stages, report, classifier)
    _print(result)
    return result


class _Clock:
    """The stages so far."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []

    def add(self, name: str, seconds: float, note: str = "") -> None:
        self.stages.append(Stage(name, seconds, note))

    @contextmanager
    def stage(self, name: str, note: str = "") -> Iterator[None]:
        began = time.monotonic()
        yield
        self.add(name, time.monotonic() - began, note)


def _make_quadrats(folder: Path, images: int, seed: int) -> Quadrats:
    with progress_bar() as progress:
        bar = progress.add_task("make quadrats", total=images, note="")
        return make_quadrats(
            folder, images, seed, lambda done: progress.update(bar, completed=done)
        )


def _network(weights: DataLocation | None) -> Network:
    if weights is not None:
        return Network(f"EfficientNet-B0 with the weights {weights}.", str(weights))
    return IMAGENET if imagenet_weights.is_installed() else SEEDED


def _seeded_network(path: Path, quadrats: Quadrats, seed: int) -> bytes:
    write_network(path, [quadrats.folder / name for name in quadrats.training], seed)
    return path.read_bytes()


def _uploaded(weights: bytes, root: DataLocation) -> ExtractorSpec:
    location = root.joined("weights.pt")
    storage.store(location, weights)
    return ExtractorSpec(
        class_path=EXTRACTOR,
        data_locations={"weights": location},
        data_hashes={"weights": hashlib.sha256(weights).hexdigest()},
    )


def _megabytes(quadrats: Quadrats) -> float:
    names = [*quadrats.training, *quadrats.test]
    return sum((quadrats.folder / name).stat().st_size for name in names) / 1e6


def _predictions(scores: ClassifyReturnMsg, truths: Sequence[Annotation]) -> list[PhotoPoint]:
    truth_at = {(row, column): label for row, column, label in truths}
    predictions = []
    for row, column, probabilities in scores.scores:
        if row is None or column is None:
            raise AssertionError("features of this run have rows and columns")
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        truth = truth_at[row, column]
        label = scores.classes[best]
        predictions.append(PhotoPoint(row, column, truth, label, probabilities[best]))
    return predictions


def _results(predicted: Mapping[str, Sequence[PhotoPoint]]) -> ValResults:
    points = [point for some in predicted.values() for point in some]
    # all labels, also those that a small run has no test point of
    classes = [photograph.label for photograph in PHOTOGRAPHS]
    return ValResults(
        scores=[point.confidence for point in points],
        gt=[classes.index(str(point.truth)) for point in points],
        est=[classes.index(str(point.predicted)) for point in points],
        classes=list(classes),
    )


def _report(
    quadrats: Quadrats,
    predicted: Mapping[str, Sequence[PhotoPoint]],
    results: ValResults,
    ref_accuracies: Sequence[float],
    network: Network,
    stages: Sequence[Stage],
) -> ReportData:
    training, test = len(quadrats.training), len(quadrats.test)
    return ReportData(
        title="From photos to labels, through the queue",
        lead=(
            f"{training + test} quadrats were composed of ten photographs. A classifier learnt from"
            f" {training} of them and labelled {len(results.gt):,} points of the other {test},"
            " which show parts of the photographs that training never saw."
        ),
        results=results,
        weights=network.told,
        stages=stages,
        ref_accuracies=ref_accuracies,
        photos=[
            Photo(name, (quadrats.folder / name).read_bytes(), predicted[name])
            for name in quadrats.test[:SHOWN_PHOTOS]
        ],
        facts={
            "quadrats": f"{training} to train, {test} to test",
            "points": f"{POINTS_PER_QUADRAT} a quadrat",
            "queue": "Celery on a private Redis",
            "storage": "a private SeaweedFS, over S3",
            "workers": "one for features, one for training, one for classifying",
        },
        credits=[f"{photograph.label}: {photograph.credit}" for photograph in PHOTOGRAPHS],
    )


def _print(result: DemoResult) -> None:
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("stage")
    table.add_column("time", justify="right")
    table.add_column("")
    for stage in result.stages:
        table.add_row(stage.name, duration(stage.seconds), stage.note)
    out.print(table)
    metrics = result.metrics
    support = [each.support for each in metrics.per_class]
    out.print(
        f"\naccuracy    {metrics.accuracy:.1%} of {metrics.point_count:,} test points"
        f" (chance {1 / len(support):.1%}, always the commonest label"
        f" {max(support) / sum(support):.1%})\n"
        f"classifier  {result.classifier}\n"
        f"report      {result.report}",
        soft_wrap=True,
        markup=False,
    )
