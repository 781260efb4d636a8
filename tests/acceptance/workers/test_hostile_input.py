"""Hostile images, feature files, classifiers and weights as real tasks, to workers with the
settings of docker-compose.yml: each is answered with little memory, and the workers that were sent
them are the same processes at the end.

`TEST_HOSTILE=FOLDER` sends the files of a folder too, each as an image, as features, as a
classifier and as weights.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
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
from tests.support.files import hostile_headers as headers
from tests.support.files import hostile_images as images
from tests.support.files import hostile_sizes as sizes
from tests.support.files.hostile_pickles import HOSTILE
from tests.support.files.onnx_models import ENDED, OPTIONS, REFUSED
from tests.support.photos import DUMMY, photo
from tests.support.workers import StartWorker

FIXTURES = FIXTURES_FOLDER / "pyspacer"
#: for one answer; those before it were waited for
ANSWER_S = 120
GOOD_CLASSIFIER = FIXTURES / "int_lr.pkl"
GOOD_FEATURES = sorted((FIXTURES / "features_int").glob("*.featurevector"))[0]

#: bytes that a worker may take for one file beside what it has when it waits
MEMORY = 500 * 2**20
#: as docker-compose.yml has it
SHIPPED = {
    "SPACER_ALLOWED_S3": "results",
    "SPACER_ALLOWED_ROOTS": "none",
    "SPACER_ALLOWED_URLS": "none",
}

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


def status(process: int, name: str) -> int:
    """A number of bytes that the kernel tells of a process."""
    text = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(text.split(f"{name}:")[1].split()[0])


def outcomes(
    worker: Process, sends: Mapping[str, Callable[[], AsyncResult[Any]]]
) -> dict[str, str]:
    """What came of each task, one after the other: "answered", or the kind of its error.

    Prints the seconds and the memory that each took (`pytest -s`).
    """
    found = {}
    processes = family(worker)
    for name, send in sends.items():
        for process in processes:
            # the most that it has had counts from now on
            Path(f"/proc/{process}/clear_refs").write_text("5")
        before = {process: status(process, "VmRSS") for process in processes}
        begun = time.monotonic()
        try:
            send().get(timeout=ANSWER_S)
            found[name], said = "answered", ""
        except SpacerError as error:
            found[name], said = error.kind, str(error)
        took = time.monotonic() - begun
        grown = sum(status(process, "VmHWM") - before[process] for process in processes)
        print(f"{took:6.2f} s {grown / 2**20:6.0f} MB  {found[name]:9} {name}: {said[:150]}")
        assert grown < MEMORY, f"{name} took {grown / 2**20:.0f} MB"
    return found


def others() -> dict[str, bytes]:
    """The files of TEST_HOSTILE."""
    folder = os.environ.get("TEST_HOSTILE")
    return {f"given, {path.name}": path.read_bytes() for path in sorted(Path(folder).iterdir())
            if path.is_file()} if folder else {}  # fmt: skip


def test_hostile_images_and_weights_do_not_stop_a_feature_worker(
    start_worker: StartWorker, put: Put
) -> None:
    # in one thread, so that a task that hangs holds up the others
    worker = start_worker("feature", "--concurrency=1", **SHIPPED)
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
    files = {name: make() for name, (make, _) in {**images.FILES, **headers.FILES}.items()}
    files |= {f"a PNG, {name}": data for name, data in cut(photo("sand", 1)).items()}
    weights = {name: make() for name, (make, _) in sizes.WEIGHTS.items()}
    weights |= {f"weights, {name}": data for name, data in cut(sizes.weights()).items()}
    weights |= {"weights that claim": sizes.old_weights()}
    weights |= {"weights with code": HOSTILE["eval"][0]}
    networks = {name: make() for name, (make, _) in {**REFUSED, **ENDED}.items()}
    given = others()
    assert send("before", good).get(timeout=ANSWER_S)
    with unharmed(worker):
        sends = {
            name: partial(send, name, put(f"image-{number}", data))
            for number, (name, data) in enumerate({**files, **given}.items())
        }
        given_weights = {f"weights, {name}": data for name, data in given.items()}
        for number, (name, data) in enumerate({**weights, **given_weights}.items()):
            where = put(f"weights-{number}", data)
            extractor = {"class_path": "efficientnet", "data_locations": {"weights": where}}
            sends[name] = partial(send, name, good, extractor)
        for number, (name, data) in enumerate({**networks, **given_weights}.items()):
            where = put(f"network-{number}", data)
            extractor = {"class_path": "onnx", "data_locations": {"weights": where}, **OPTIONS}
            sends[f"network, {name}"] = partial(send, name, good, extractor)
        found = outcomes(worker, sends)
        assert send("after", good).get(timeout=ANSWER_S)
    assert set(found.values()) == {"answered", "input"}, found
    for name, (_, outcome) in images.FILES.items():
        assert found[name] == ("input" if isinstance(outcome, str) else "answered"), name
    assert {found[name] for name in headers.FILES} == {"input"}
    assert {found[name] for name in weights} == {"input"}
    assert {found[f"network, {name}"] for name in networks} == {"input"}


def test_hostile_classifiers_and_feature_files_do_not_stop_a_classify_worker(
    start_worker: StartWorker, put: Put
) -> None:
    worker = start_worker("classify", "--concurrency=1", **SHIPPED)
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
    given = others()
    damaged |= {f"classifier, {name}": data for name, data in given.items()}
    damaged_features |= {f"features, {name}": data for name, data in given.items()}
    assert send(good_features, good_classifier).get(timeout=ANSWER_S)
    # itself, the process that watches it, and the one that computes
    assert len(family(worker)) == 3
    with unharmed(worker):
        sends = {
            name: partial(send, good_features, put(f"classifier-{number}", data))
            for number, (name, data) in enumerate((classifiers | damaged).items())
        }
        for number, (name, data) in enumerate((features | damaged_features).items()):
            where = put(f"features-{number}", data)
            sends[f"features: {name}"] = partial(send, where, good_classifier)
        found = outcomes(worker, sends)
        assert send(good_features, good_classifier).get(timeout=ANSWER_S)
    assert len(found) > 150
    assert set(found.values()) <= {"answered", "input"}, found
    assert {found[name] for name in classifiers} == {"input"}
    assert {found[f"features: {name}"] for name in features} == {"input"}
    # what each of the pickles would have made
    assert not (CHECKOUT / "ran").exists()
