"""A whole job of the reference, without a queue."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from spacer_tasks import operations
from spacer_tasks.classifiers import load_classifier
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import (
    DataLimitError,
    ImageError,
    LocationNotAllowedError,
    MessageError,
    ObjectNotFoundError,
    RowColumnInvalidError,
    StorageUnavailableError,
    TrainingLabelsError,
)
from spacer_tasks.messages import tasks
from tests.support.checkout import CHECKOUT
from tests.support.messages.of_features import FIXTURES, scoring, training
from tests.support.photos import photo


def test_a_job_trains_echoes_itself_and_stores_what_the_reference_loads(tmp_path: Path) -> None:
    job = {"task_name": "train_classifier", "tasks": [training(tmp_path)]}
    answer = operations.process_job(job)
    assert answer.ok
    assert answer.original_job == job
    assert answer.results is not None
    assert answer.results[0]["acc"] > 0.9
    # the first byte of a pickle
    assert (tmp_path / "model_loc").read_bytes()[:1] == b"\x80"
    assert load_classifier(DataLocation.parse(str(tmp_path / "model_loc"))).clf_type == "LR"


def test_messages_of_the_reference_s_own_classes_are_taken_as_they_are(tmp_path: Path) -> None:
    class ReferenceMessage:
        """As the reference's: it knows its own dict, and no more is asked of it."""

        def __init__(self, data: dict[str, Any]) -> None:
            self._data = data

        def serialize(self) -> dict[str, Any]:
            return self._data

    job = {"task_name": "train_classifier", "tasks": [training(tmp_path)]}
    message: Any = ReferenceMessage(job)
    answer = operations.process_job(message)
    assert answer.ok
    assert answer.original_job == job
    message = ReferenceMessage(training(tmp_path))
    assert operations.train_classifier(message).acc > 0.9


@pytest.mark.parametrize(("given", "pickled"), [("spacer", False), ("pyspacer", True)])
def test_a_job_may_say_which_format_it_wants(tmp_path: Path, given: str, pickled: bool) -> None:
    message = {**training(tmp_path), "classifier_format": given}
    assert operations.process_job({"task_name": "train_classifier", "tasks": [message]}).ok
    assert ((tmp_path / "model_loc").read_bytes()[:1] == b"\x80") is pickled


def test_a_training_outside_a_job_stores_a_file_without_code(tmp_path: Path) -> None:
    operations.train_classifier(training(tmp_path))
    assert (tmp_path / "model_loc").read_bytes()[:1] != b"\x80"


def test_a_job_that_fails_says_why_in_its_last_line(tmp_path: Path) -> None:
    message = training(tmp_path)
    message["labels"]["train"] = {}
    answer = operations.process_job({"task_name": "train_classifier", "tasks": [message]})
    assert not answer.ok
    assert answer.results is None
    last = (answer.error_message or "").splitlines()[-1]
    assert last.startswith("spacer.exceptions.TrainingLabelsError: ")


def test_a_storage_that_is_away_does_not_end_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StorageUnavailableError("S3 answers 503")

    monkeypatch.setattr(operations, "train_classifier", away)
    with pytest.raises(StorageUnavailableError):
        operations.process_job({"task_name": "train_classifier", "tasks": [training(tmp_path)]})


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    operations.train_classifier(training(folder))
    return folder / "model_loc"


def test_many_images_of_a_job_are_answered_as_one_by_one(classifier: Path) -> None:
    files = sorted((FIXTURES / "features_str").iterdir())
    messages = [scoring(file, classifier) for file in files]
    assert len(messages) > operations.READ_AHEAD + 1
    answer = operations.process_job({"task_name": "classify_features", "tasks": messages})
    assert answer.results is not None
    for message, found in zip(messages, answer.results, strict=True):
        alone = operations.classify_features(message).to_wire()
        assert {**found, "runtime": 0} == {**alone, "runtime": 0}


def test_an_image_of_many_that_fails_does_so_when_it_is_its_turn(classifier: Path) -> None:
    good = next((FIXTURES / "features_str").iterdir())
    answers = operations.classify_many(
        [scoring(good, classifier), scoring(good.with_name("none"), classifier)]
    )
    assert next(answers).scores
    with pytest.raises(ObjectNotFoundError, match="none"):
        next(answers)


def test_a_malformed_message_of_many_is_refused_before_the_first_answer(classifier: Path) -> None:
    good = next((FIXTURES / "features_str").iterdir())
    with pytest.raises(MessageError, match="feature_loc"):
        next(operations.classify_many([scoring(good, classifier), {"job_token": "x"}]))


def imaged(folder: Path, classifier: Path | None = None) -> dict[str, Any]:
    """A message for a photo, whose features are kept or scored."""
    (folder / "a.png").write_bytes(photo("sand", 1))
    there = {"storage_type": "filesystem"}
    what = {"classifier_loc": classifier} if classifier else {"feature_loc": folder / "a.npz"}
    return {
        "job_token": "1",
        # as many dimensions as the fixtures' features have
        "extractor": {"class_path": "dummy", "feature_dim": 24},
        "rowcols": [[3, 4], [5, 6]],
        "image_loc": {**there, "key": str(folder / "a.png")},
        **{name: {**there, "key": str(path)} for name, path in what.items()},
    }


def test_every_answer_says_all_that_its_message_has(tmp_path: Path, classifier: Path) -> None:
    """Some are made without a check of their values, by which a field can be forgotten."""
    features = sorted((FIXTURES / "features_str").iterdir())[0]
    job = {"task_name": "classify_image", "tasks": [imaged(tmp_path, classifier)]}
    answers = [
        operations.extract_features(imaged(tmp_path)),
        operations.train_classifier(training(tmp_path)),
        operations.classify_features(scoring(features, classifier)),
        *operations.classify_many([scoring(features, classifier)]),
        operations.classify_image(imaged(tmp_path, classifier)),
        operations.process_job(job),
        operations.process_job({**job, "tasks": [imaged(tmp_path, tmp_path / "none")]}),
    ]
    assert {type(answer) for answer in answers} == {
        getattr(tasks, name) for name in vars(tasks) if name.endswith("ReturnMsg")
    }
    for answer in answers:
        # not those that only have a default
        assert answer.model_fields_set | tasks.OURS >= set(type(answer).model_fields)
        # and each is of its type
        assert type(answer)(**json.loads(json.dumps(answer.to_wire()))) == answer


def test_a_classifier_is_evaluated_as_its_training_evaluated_it(tmp_path: Path) -> None:
    message = training(tmp_path)
    operations.train_classifier(message)
    found = operations.evaluate_classifier(message["model_loc"], message["labels"]["val"])
    stored = json.loads((tmp_path / "valresult_loc").read_text())
    assert found.model_dump(mode="json") == stored
    classifier = load_classifier(DataLocation(**message["model_loc"]))
    assert operations.evaluate_classifier(classifier, message["labels"]["val"]) == found


def test_labels_that_a_classifier_does_not_know_stand_after_its_own(tmp_path: Path) -> None:
    message = training(tmp_path)
    operations.train_classifier(message)
    labels = message["labels"]["val"]
    (image, *_) = labels
    labels[image] = [[row, column, "unheard of"] for row, column, _ in labels[image]]
    found = operations.evaluate_classifier(message["model_loc"], labels)
    assert found.classes[-1] == "unheard of"
    assert found.gt.count(len(found.classes) - 1) == len(labels[image])
    assert max(found.est) < len(found.classes) - 1
    with pytest.raises(TrainingLabelsError, match="no labelled point"):
        operations.evaluate_classifier(message["model_loc"], {})


def test_an_image_and_points_are_checked_without_an_extractor(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "photo.png")
    (tmp_path / "text").write_bytes(b"no image")

    def check(name: str, points: Any) -> None:
        operations.check_extract_inputs(DataLocation.parse(str(tmp_path / name)), points)

    check("photo.png", [(19, 29)])
    for points in ([(20, 0)], [(0, 30)], [(0.0, 0)], []):
        with pytest.raises(RowColumnInvalidError):
            check("photo.png", points)
    with pytest.raises(ImageError):
        check("text", [(0, 0)])


def test_an_answer_has_a_largest_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    operations.train_classifier(training(tmp_path))
    features = sorted(FIXTURES.glob("features_str/*.featurevector"))[0]
    message = {
        "job_token": "1",
        "feature_loc": {"storage_type": "filesystem", "key": str(features)},
        "classifier_loc": {"storage_type": "filesystem", "key": str(tmp_path / "model_loc")},
    }
    found = len(operations.classify_features(message).scores)
    monkeypatch.setenv("SPACER_MAX_SCORES", str(2 * found - 1))
    settings_changed()
    with pytest.raises(DataLimitError, match=rf"{found} points of . classes.*SPACER_MAX_SCORES"):
        operations.classify_features(message)


def test_features_replace_features_whole_or_damaged_and_nothing_else(
    tmp_path: Path, classifier: Path
) -> None:
    message = imaged(tmp_path)
    place = tmp_path / "a.npz"
    operations.extract_features(message)
    features = place.read_bytes()
    weights = BytesIO()
    torch.save({"weight": torch.zeros(2)}, weights)
    older = BytesIO()
    torch.save({"weight": torch.zeros(2)}, older, _use_new_zipfile_serialization=False)
    others = {
        "a classifier": classifier.read_bytes(),
        "a classifier of the reference": pickle.dumps({"a": 1}, protocol=2),
        "one of protocol 0": pickle.dumps({"a": 1}, protocol=0),
        "weights": weights.getvalue(),
        "weights as before zips": older.getvalue(),
        "a net of Caffe's": b"\n\x03net\x12",
        "a description of one": b'name: "net"',
        "a photo": photo("sand", 1),
        "a CSV": b"Name,Row,Column\n",
        "another archive": b"PK\x03\x04" + bytes(22) + b"\x05\x00\x00\x00a.txt",
    }
    for name, data in others.items():
        place.write_bytes(data)
        with pytest.raises(LocationNotAllowedError, match=r"a\.npz: what is there is no"):
            operations.extract_features(message)
        assert place.read_bytes() == data, name
    for data in (b"", features, features[:100], b"[[1.0, 2.0]]", b" [[1.0"):
        place.write_bytes(data)
        operations.extract_features(message)
        assert place.read_bytes() != data or data == features


def test_what_only_trainings_need_is_loaded_by_the_first() -> None:
    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, spacer_tasks.operations\n"
            "print([name for name in ('sklearn', 'scipy', 'torch') if name in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
    ).stdout
    assert shown == "[]\n"


def test_a_job_without_a_training_loads_nothing_that_trains() -> None:
    code = (
        "import sys\n"
        "from spacer_tasks.results import load_answer\n"
        "from spacer_tasks.tasks import process_job\n"
        "from spacer_tasks.testing import eager_queue\n"
        "from tests.support.messages.in_memory import extraction\n"
        "with eager_queue():\n"
        "    job = {'task_name': 'extract_features', 'tasks': [extraction()]}\n"
        "    answer = load_answer(process_job.delay(job).get())\n"
        "    print(answer['ok'], {'scipy', 'sklearn'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=CHECKOUT
    )
    assert done.stdout == "True set()\n", done.stderr
