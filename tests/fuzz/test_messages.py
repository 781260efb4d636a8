"""Messages with faults in them: an answer or an input error, from the door to the operation."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacer_tasks import operations, storage
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import InputError, MessageError, TransientError
from spacer_tasks.jobs.reading import read_job
from spacer_tasks.messages.batches import TrainFromImagesMsg, TrainManyMsg
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.tasks import Message
from spacer_tasks.storage.policy import locations_in
from spacer_tasks.tasks import classify_features, extract_features, process_job, train_classifier
from spacer_tasks.worker.delivery.envelopes import fault_of
from spacer_tasks.workflows import train_from_images
from tests.fuzz.mutations import STRANGE, changed, damaged, examples
from tests.support.messages.located import messages
from tests.support.photos import photo


@pytest.fixture(scope="module", autouse=True)
def files() -> None:
    """What the messages name, in memory."""
    storage.store(DataLocation.parse("memory://image"), photo("sand", 1, size=32))
    import numpy as np

    for number in range(3):
        vectors = np.random.default_rng(number).normal(size=(4, 5)).astype(np.float32)
        features = ImageFeatures.of_points([(0, 0), (1, 1), (2, 2), (3, 3)], vectors)
        storage.store(DataLocation.parse(f"memory://features{number}"), features.to_bytes())


def at(name: str) -> dict[str, Any]:
    return DataLocation.parse(f"memory://{name}").model_dump()


EXTRACT = {
    "job_token": "1",
    "extractor": {"class_path": "dummy", "feature_dim": 8},
    "rowcols": [[3, 4], [0, 31]],
    "image_loc": at("image"),
    "feature_loc": at("made"),
}
LABELS = {
    json.dumps(at(f"features{number}")): [[0, 0, 1], [1, 1, 2], [2, 2, 1], [3, 3, 2]]
    for number in range(3)
}
TRAIN = {
    "job_token": "1",
    "trainer": "minibatch",
    "nbr_epochs": 1,
    "clf_type": "LR",
    "labels": {"train": LABELS, "ref": LABELS, "val": LABELS},
    "previous_model_locs": [],
    "model_loc": at("classifier"),
    "valresult_loc": at("val.json"),
}
CLASSIFY = {"job_token": "1", "feature_loc": at("features0"), "classifier_loc": at("classifier")}
JOBS = [
    {"task_name": "extract_features", "tasks": [EXTRACT]},
    {"task_name": "train_classifier", "tasks": [TRAIN]},
    {"task_name": "classify_features", "tasks": [CLASSIFY, CLASSIFY]},
]


def test_the_jobs_are_good() -> None:
    """The test below would show little were they refused as they are."""
    for job in JOBS:
        answer = operations.process_job(job)
        assert answer.ok, answer.error_message


def only_memory(job: Any) -> bool:
    """Whether it names nothing outside: a fuzzer must not write to this machine's files."""
    return not any(name in json.dumps(job) for name in ('"filesystem"', '"s3"', '"url"', "etc"))


@examples(250)
@given(changed(JOBS).filter(only_memory))
def test_a_job_ends_in_an_answer_that_is_no_bug(job: Any) -> None:
    try:
        answer = operations.process_job(job)
    except (InputError, TransientError):
        return
    if not answer.ok:
        assert "Traceback" not in (answer.error_message or ""), answer.error_message


@pytest.mark.parametrize("name", [["extract_features"], {}, 7, None, ""])
def test_a_task_name_that_is_no_text_is_refused(name: Any) -> None:
    job = {**JOBS[0], "task_name": name}
    takes: list[Callable[[], object]] = [
        lambda: read_job(json.dumps(job)),
        lambda: process_job.checked(job),
    ]
    for take in takes:
        with pytest.raises(MessageError, match="task_name"):
            take()
    assert "Traceback" not in (operations.process_job(job).error_message or "Traceback")


@pytest.mark.parametrize("job", [None, 7, "x", [1]])
def test_what_is_no_job_at_all_is_refused(job: Any) -> None:
    with pytest.raises(MessageError, match="object"):
        operations.process_job(job)
    with pytest.raises(MessageError, match="object"):
        process_job.received(job)


WIRES = {name: message.to_wire() for name, message in messages({}).items()}
CLASSES: dict[str, type[Message]] = {
    **{name: type(message) for name, message in messages({}).items()},
}


@examples(300)
@given(st.sampled_from(sorted(WIRES)), st.data())
def test_a_message_is_taken_or_refused(name: str, data: st.DataObject) -> None:
    value = data.draw(changed([WIRES[name]]))
    try:
        message = parse(CLASSES[name], value)
    except InputError as error:
        assert len(str(error)) < 5000
        return
    assert list(locations_in(message))
    json.dumps(message.to_wire())


@examples(200)
@given(damaged([json.dumps(wire).encode() for wire in WIRES.values()]))
def test_the_text_of_a_message_is_taken_or_refused(data: bytes) -> None:
    classes: list[type[Message]] = [TrainFromImagesMsg, TrainManyMsg, *CLASSES.values()]
    for cls in classes:
        try:
            message = parse(cls, data)
        except InputError:
            continue
        assert parse(cls, json.dumps(message.to_wire()).encode()) == message


@examples(200)
@given(st.one_of(changed([{"storage_type": "memory", "key": "x"}, *JOBS]), STRANGE))
def test_a_job_from_outside_is_read_or_refused(value: Any) -> None:
    try:
        text = json.dumps(value)
        job = read_job(text, load=lambda location: {})
    except InputError:
        return
    assert isinstance(job, dict)


@examples(200)
@given(damaged([json.dumps(job).encode() for job in JOBS]))
def test_the_text_of_a_job_is_read_or_refused(data: bytes) -> None:
    storage.store(DataLocation.parse("memory://message"), data)
    for task in (
        extract_features,
        train_classifier,
        classify_features,
        process_job,
        train_from_images,
    ):
        try:
            received = task.received({"message_loc": at("message")})
        except InputError:
            continue
        assert isinstance(received, (Message, dict))


@examples(200)
@given(
    st.one_of(
        STRANGE,
        changed(
            [
                {
                    "body": "W1tdLCB7fSwge31d",
                    "content-type": "application/json",
                    "content-encoding": "utf-8",
                    "headers": {"task": "t", "id": "1", "timelimit": [None, None]},
                    "properties": {
                        "body_encoding": "base64",
                        "delivery_tag": "1",
                        "delivery_info": {"exchange": "", "routing_key": "q"},
                    },
                }
            ]
        ),
    )
)
def test_an_envelope_is_delivered_or_not(envelope: Any) -> None:
    assert isinstance(fault_of(envelope), str | None)
