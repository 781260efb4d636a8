"""Messages whose mistakes would take gigabytes to list."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from spacer_tasks.data_classes.labels import ImageLabels
from spacer_tasks.exceptions import MessageError, RowColumnInvalidError
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.tasks import ExtractFeaturesMsg, TrainClassifierMsg

LOC = {"storage_type": "memory", "key": "a"}
KEY = json.dumps(LOC)
#: prints what came of a message, and by how many MB the process grew
PARSE = f"""
import json, resource
from spacer_tasks.exceptions import InputError
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.tasks import ExtractFeaturesMsg, TrainClassifierMsg

LOC = {LOC}

def train(**fields):
    return {{"job_token": 1, "trainer": "minibatch", "nbr_epochs": 1, "clf_type": "LR",
            "labels": {{name: {{}} for name in ("train", "ref", "val")}}, "model_loc": LOC,
            "valresult_loc": LOC, **fields}}

def extract(**fields):
    return {{"job_token": 1, "extractor": "dummy", "rowcols": [[1, 1]], "image_loc": LOC,
            "feature_loc": LOC, **fields}}

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

def labels(items):
    return {{"train": {{json.dumps(LOC): items}}, "ref": {{}}, "val": {{}}}}

cls, message = KIND
before = peak()
try:
    parse(cls, message)
except InputError as error:
    print(peak() - before, len(str(error)), type(error).__name__)
"""
MANY = {
    "labels": "TrainClassifierMsg, train(labels=labels([0] * 10**6))",
    "labels without parts": "TrainClassifierMsg, train(labels=labels([[]] * 10**6))",
    "labels of a wrong kind": "TrainClassifierMsg, train(labels=labels([[1, 1, None]] * 10**6))",
    "previous classifiers": "TrainClassifierMsg, train(previous_model_locs=[0] * 10**6)",
    "points": "ExtractFeaturesMsg, extract(rowcols=[[1]] * 10**6)",
    "fields": "ExtractFeaturesMsg, extract(**{str(n): 0 for n in range(10**6)})",
    "fields of a location": (
        "ExtractFeaturesMsg, extract(image_loc={**LOC, **{str(n): 0 for n in range(10**6)}})"
    ),
    "files of an extractor": (
        "ExtractFeaturesMsg, extract(extractor={'class_path': 'dummy',"
        " 'data_locations': {str(n): 0 for n in range(10**6)}})"
    ),
    "hashes of an extractor": (
        "ExtractFeaturesMsg, extract(extractor={'class_path': 'dummy',"
        " 'data_hashes': {str(n): 0 for n in range(10**6)}})"
    ),
}


@pytest.mark.parametrize("kind", MANY)
def test_a_message_of_a_million_mistakes_takes_little(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARSE.replace("KIND", MANY[kind])],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    grown, length, error = done.stdout.split()
    assert error in ("MessageError", "RowColumnInvalidError")
    assert int(length) < 3000
    assert int(grown) < 250


def test_each_image_with_a_mistake_is_named() -> None:
    places = [json.dumps({**LOC, "key": key}) for key in "abc"]
    with pytest.raises(MessageError) as told:
        parse(ImageLabels, {places[0]: [[1, 1]], places[1]: [[1, 1, "x"]], places[2]: ["reef"]})
    assert "key='a'" in str(told.value)
    assert "key='c'" in str(told.value)


def test_the_first_wrong_point_is_named() -> None:
    message = {
        "job_token": 1, "extractor": "dummy", "rowcols": [[1, 1], [2, "x"], [3]],
        "image_loc": LOC, "feature_loc": LOC,
    }  # fmt: skip
    with pytest.raises(RowColumnInvalidError, match=r"image a: .*rowcols\.1\.1: .*'x'"):
        parse(ExtractFeaturesMsg, message)


@pytest.mark.parametrize("label", [2**63, -(2**63) - 1, 10**400])
def test_numbers_whose_hashes_can_be_chosen_are_no_labels(label: int) -> None:
    assert parse(ImageLabels, {KEY: [[1, 1, 2**63 - 1]]}).classes == {2**63 - 1}
    with pytest.raises(MessageError):
        parse(ImageLabels, {KEY: [[1, 1, label]]})


def test_a_training_message_with_all_its_fields_passes() -> None:
    empty = {"train": {KEY: [[1, 1, 1]]}, "ref": {}, "val": {}}
    message = {
        "job_token": 1, "trainer": "minibatch", "nbr_epochs": 1, "clf_type": "LR", "labels": empty,
        "previous_model_locs": [LOC], "model_loc": LOC, "valresult_loc": LOC,
    }  # fmt: skip
    assert parse(TrainClassifierMsg, message).labels.label_count == 1
