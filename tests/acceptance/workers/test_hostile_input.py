"""Hostile images, feature files, classifiers and weights as real tasks: each is answered, and the
workers that were sent them are the same processes at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import Process
from spacer_tasks.exceptions import SpacerError
from spacer_tasks.tasks import classify_features, extract_features
from tests.support.checkout import CHECKOUT, FIXTURES_FOLDER
from tests.support.files import hostile_images as images
from tests.support.files import hostile_sizes as sizes
from tests.support.files.hostile_pickles import HOSTILE
from tests.support.photos import DUMMY, photo
from tests.support.workers import StartWorker

FIXTURES = FIXTURES_FOLDER / "pyspacer"
#: for one answer; those before it were waited for
ANSWER_S = 120
GOOD_CLASSIFIER = FIXTURES / "int_lr.pkl"
GOOD_FEATURES = sorted((FIXTURES / "features_int").glob("*.featurevector"))[0]

Put = Callable[[str, bytes], dict[str, Any]]


@pytest.fixture(scope="module")
def put(bucket: str, settings_env: dict[str, str]) -> Put:
    """Store an object; its location as a message has it."""

    def stored(key: str, data: bytes) -> dict[str, Any]:
        location = DataLocation.parse(f"s3://{bucket}/{key}")
        storage.store(location, data)
        return location.model_dump()

    return stored


def cut(data: bytes) -> dict[str, bytes]:
    """The file cut short, with a part of it lost, and with bytes exchanged in its middle."""
    middle = len(data) // 2
    return {
        "nothing": b"",
        "its first bytes": data[:100],
        "half of it": data[:middle],
        "all but its end": data[:-30],
        "without a part": data[:middle] + data[middle + 50 :],
        "with other bytes": data[:middle] + b"\xff" * 40 + data[middle + 40 :],
    }


@contextmanager
def unharmed(worker: Process) -> Iterator[None]:
    """The worker, and the processes of its pool, are the same at the end."""
    before = family(worker)
    yield
    worker.check()
    assert family(worker) == before


def family(worker: Process) -> set[int]:
    """The worker's process and its children's."""
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text()
    return {worker.pid, *map(int, children.split())}


def outcomes(sent: dict[str, AsyncResult[Any]]) -> dict[str, str]:
    """What came of each task: "answered", or the kind of its error."""
    found = {}
    for name, result in sent.items():
        try:
            result.get(timeout=ANSWER_S)
            found[name] = "answered"
        except SpacerError as error:
            found[name] = error.kind
    return found


def test_hostile_images_and_weights_do_not_stop_a_feature_worker(
    start_worker: StartWorker, put: Put
) -> None:
    # in one thread, so that a task that hangs holds up the others
    worker = start_worker("feature", "--concurrency=1")
    dummy = DUMMY.model_dump(mode="json")

    def send(name: str, image: dict[str, Any], extractor: Any = dummy) -> AsyncResult[Any]:
        features = DataLocation(**image).with_suffix(".npz").model_dump()
        return extract_features.delay(
            {
                "job_token": name,
                "extractor": extractor,
                "rowcols": [[0, 0]],
                "image_loc": image,
                "feature_loc": features,
            }
        )

    good = put("good.png", photo("sand", 1))
    files = {name: make() for name, (make, _) in images.FILES.items()}
    files |= {f"a PNG, {name}": data for name, data in cut(photo("sand", 1)).items()}
    weights = {name: make() for name, (make, _) in sizes.WEIGHTS.items()}
    weights |= {f"weights, {name}": data for name, data in cut(sizes.weights()).items()}
    weights |= {"weights that claim": sizes.old_weights()}
    weights |= {"weights with code": HOSTILE["eval"][0]}
    assert send("before", good).get(timeout=ANSWER_S)
    with unharmed(worker):
        sent = {
            name: send(name, put(f"image-{number}", data))
            for number, (name, data) in enumerate(files.items())
        }
        for number, (name, data) in enumerate(weights.items()):
            where = put(f"weights-{number}", data)
            extractor = {"class_path": "efficientnet", "data_locations": {"weights": where}}
            sent[name] = send(name, good, extractor)
        found = outcomes(sent)
        assert send("after", good).get(timeout=ANSWER_S)
    assert set(found.values()) == {"answered", "input"}, found
    for name, (_, outcome) in images.FILES.items():
        assert found[name] == ("input" if isinstance(outcome, str) else "answered"), name
    assert {found[name] for name in weights} == {"input"}


def test_hostile_classifiers_and_feature_files_do_not_stop_a_classify_worker(
    start_worker: StartWorker, put: Put
) -> None:
    worker = start_worker("classify", "--concurrency=1")
    good_classifier = put("good.pkl", GOOD_CLASSIFIER.read_bytes())
    good_features = put("good.featurevector", GOOD_FEATURES.read_bytes())

    def send(features: dict[str, Any], classifier: dict[str, Any]) -> AsyncResult[Any]:
        return classify_features.delay(
            {"job_token": "1", "feature_loc": features, "classifier_loc": classifier}
        )

    classifiers = {name: data for name, (data, _) in HOSTILE.items()}
    classifiers |= {name: make() for name, make in sizes.CLASSIFIERS.items()}
    damaged = {f"classifier, {name}": x for name, x in cut(GOOD_CLASSIFIER.read_bytes()).items()}
    features = {name: make() for name, make in sizes.FEATURE_FILES.items()}
    damaged_features = {
        f"features, {name}": data for name, data in cut(GOOD_FEATURES.read_bytes()).items()
    }
    assert send(good_features, good_classifier).get(timeout=ANSWER_S)
    # itself, the process that watches it, and the one that computes
    assert len(family(worker)) == 3
    with unharmed(worker):
        sent = {
            name: send(good_features, put(f"classifier-{number}", data))
            for number, (name, data) in enumerate((classifiers | damaged).items())
        }
        for number, (name, data) in enumerate((features | damaged_features).items()):
            sent[f"features: {name}"] = send(put(f"features-{number}", data), good_classifier)
        found = outcomes(sent)
        assert send(good_features, good_classifier).get(timeout=ANSWER_S)
    assert len(found) > 150
    assert set(found.values()) <= {"answered", "input"}, found
    assert {found[name] for name in classifiers} == {"input"}
    assert {found[f"features: {name}"] for name in features} == {"input"}
    # what each of the pickles would have made
    assert not (CHECKOUT / "ran").exists()
