"""Callers take points and labels from arrays and tables: messages take numpy's types anywhere."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spacer_tasks import operations, storage, tasks
from spacer_tasks.data_classes import DataLocation, ImageLabels, ValResults
from spacer_tasks.exceptions import MessageError, RowColumnInvalidError
from spacer_tasks.messages import batches
from spacer_tasks.messages import tasks as messages
from spacer_tasks.messages.parsing import parse
from tests.support.files.hostile_images import saved

IMAGE = {"storage_type": "memory", "key": "image", "bucket_name": None}
OUT = {"storage_type": "memory", "key": "out", "bucket_name": None}
DUMMY = {"class_path": "dummy", "feature_dim": np.int32(5)}
POINTS = np.array([[1, 2], [3, 4]], dtype=np.uint16)
LABELS = {json.dumps(IMAGE): [(np.int64(1), np.int32(2), np.int64(7)), (3, 4, np.str_("CCA"))]}
EXTRACT = {
    "job_token": np.int64(9),
    "extractor": DUMMY,
    "rowcols": POINTS,
    "image_loc": IMAGE,
    "feature_loc": OUT,
}
TRAIN = {
    "job_token": np.int64(9),
    "trainer": {
        "class_path": "minibatch",
        "batch_size": np.int64(3),
        "sgd_average": np.bool_(True),
    },
    "nbr_epochs": np.int64(2),
    "clf_type": np.str_("LR"),
    "labels": {"train": LABELS, "ref": LABELS, "val": LABELS},
    "model_loc": IMAGE,
    "valresult_loc": OUT,
}
TRAIN_FROM_IMAGES = {
    "job_token": "1",
    "extractor": DUMMY,
    "images": [{"image_loc": IMAGE, "feature_loc": OUT, "annotations": np.array([[1, 2, 7]])}],
    "accepted_classes": np.array([7]),
    "split_ratios": np.array([0.1, 0.2]),
    "nbr_epochs": np.int64(1),
    "max_failed_share": np.float32(0.5),
    "model_loc": IMAGE,
    "valresult_loc": OUT,
}
SCORES = {
    "runtime": np.float32(1),
    "scores": [(np.int64(1), np.int64(2), np.array([0.5, 0.25])), (3, 4, [np.float32(0.5)])],
    "classes": np.array([1, 2]),
    "valid_rowcol": np.bool_(True),
}
ALL: dict[str, tuple[type[messages.Message], dict[str, Any]]] = {
    "extraction": (messages.ExtractFeaturesMsg, EXTRACT),
    "extraction, rows of arrays": (messages.ExtractFeaturesMsg, {**EXTRACT, "rowcols": [*POINTS]}),
    "extraction, points of numbers": (
        messages.ExtractFeaturesMsg,
        {**EXTRACT, "rowcols": [(np.int8(1), 2)]},
    ),
    "token of several": (messages.ExtractFeaturesMsg, {**EXTRACT, "job_token": (1, np.int64(2))}),
    "training": (messages.TrainClassifierMsg, TRAIN),
    "classification": (
        messages.ClassifyFeaturesMsg,
        {"job_token": np.float64(0.5), "feature_loc": IMAGE, "classifier_loc": OUT},
    ),
    "classification of an image": (
        messages.ClassifyImageMsg,
        {**{k: v for k, v in EXTRACT.items() if k != "feature_loc"}, "classifier_loc": OUT},
    ),
    "job": (messages.JobMsg, {"task_name": "extract_features", "tasks": (EXTRACT, EXTRACT)}),
    "answer": (messages.ClassifyReturnMsg, SCORES),
    "answer of a training": (
        messages.TrainClassifierReturnMsg,
        {
            "acc": np.float32(1),
            "pc_accs": np.array([0.5]),
            "ref_accs": [np.float64(0.5)],
            "runtime": 1,
        },
    ),
    "answer to a job": (
        messages.JobReturnMsg,
        {
            "original_job": {"task_name": "extract_features", "tasks": [EXTRACT]},
            "ok": np.bool_(True),
            "results": [SCORES],
            "error_message": None,
        },
    ),
    "batch": (batches.TrainFromImagesMsg, TRAIN_FROM_IMAGES),
    "several trainings": (
        batches.TrainManyMsg,
        {"job_token": "1", "trainings": [TRAIN], "publish_loc": OUT, "summary_loc": IMAGE},
    ),
    "failure": (
        batches.BatchFailure,
        {"name": np.str_("a"), "kind": "input", "type": "X", "message": "y"},
    ),
}


@pytest.mark.parametrize("case", ALL)
def test_a_message_of_numpy_s_types_is_the_message_of_python_s(case: str) -> None:
    cls, data = ALL[case]
    message = parse(cls, data)
    wire = message.to_wire()
    # JSON holds it, and it is read as the same
    again = parse(cls, json.dumps(wire))
    assert again.to_wire() == wire
    assert again == message


def test_labels_come_as_arrays_too() -> None:
    loc = DataLocation.model_validate(IMAGE)
    labels = ImageLabels.model_validate({json.dumps(IMAGE): np.array([[1, 2, 7], [3.0, 4.0, 8.0]])})
    assert labels[loc] == [(1, 2, 7), (3, 4, 8)]
    given: Any = [(np.int64(5), np.int64(6), np.str_("CCA"))]
    labels.add_image(loc, given)
    ((row, column, label),) = labels[loc]
    assert (type(row), type(column), type(label)) == (int, int, str)


def test_validation_results_come_as_arrays_too() -> None:
    results = ValResults.model_validate(
        {
            "scores": np.array([0.5], dtype=np.float32),
            "gt": np.array([0]),
            "est": [np.int64(0)],
            "classes": np.array([7]),
        }
    )
    assert json.loads(results.model_dump_json()) == {
        "scores": [0.5],
        "gt": [0],
        "est": [0],
        "classes": [7],
    }


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"rowcols": np.array([[1.5, 2.0]])}, RowColumnInvalidError),
        ({"rowcols": np.array([1, 2])}, RowColumnInvalidError),
        ({"rowcols": np.array([[1, 2, 3]])}, RowColumnInvalidError),
        ({"rowcols": np.array([[True, False]])}, RowColumnInvalidError),
        ({"rowcols": np.array([["1", "2"]])}, RowColumnInvalidError),
        ({"rowcols": np.array([[np.nan, 2.0]])}, RowColumnInvalidError),
        ({"rowcols": np.zeros((0, 2), dtype=int)}, RowColumnInvalidError),
        ({"job_token": np.array([1 + 2j])}, MessageError),
        ({"image_loc": np.int64(1)}, MessageError),
    ],
)
def test_what_is_wrong_stays_wrong_in_numpy_s_types(
    change: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        parse(messages.ExtractFeaturesMsg, {**EXTRACT, **change})


def test_a_job_of_numpy_s_types_is_echoed_with_python_s() -> None:
    storage.store(DataLocation.model_validate(IMAGE), saved(Image.new("RGB", (30, 30)), "PNG"))
    job = {"task_name": "extract_features", "tasks": [EXTRACT]}
    answer = operations.process_job(job)
    assert answer.ok, answer.error_message
    (echoed,) = json.loads(json.dumps(answer.to_wire()))["original_job"]["tasks"]
    assert (echoed["job_token"], echoed["rowcols"]) == (9, [[1, 2], [3, 4]])


def test_a_job_of_numpy_s_types_that_fails_is_echoed_too() -> None:
    wrong = {**EXTRACT, "image_loc": {**IMAGE, "key": "nowhere"}}
    answer = operations.process_job({"task_name": "extract_features", "tasks": [wrong]})
    assert not answer.ok
    assert json.loads(json.dumps(answer.to_wire()))["original_job"]["tasks"][0]["job_token"] == 9


def test_what_a_job_sends_holds_no_type_of_numpy_s() -> None:
    sent = tasks.process_job.checked({"task_name": "extract_features", "tasks": [EXTRACT]})
    assert json.loads(json.dumps(sent))["tasks"][0]["rowcols"] == [[1, 2], [3, 4]]
