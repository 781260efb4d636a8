"""CoralNet's queue class for tests, without Django and without the reference."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from PIL import Image

from spacer_tasks.exceptions import ImageError, MessageError
from spacer_tasks.execution.payload import INLINE_BYTES
from spacer_tasks.messages.tasks import ExtractFeaturesReturnMsg
from spacer_tasks.storage.memory import MEMORY
from spacer_tasks.tasks import extract_features
from spacer_tasks.testing import FakeWorker, eager_queue, fixed_features, waiting_queue
from spacer_tasks.testing.coralnet import InProcessQueue
from spacer_tasks.testing.memory_records import RECORDS
from tests.support.messages.in_memory import at, extraction


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No server is connected to, and no job of another test waits."""

    def refused(*_: object) -> None:
        raise AssertionError("something connects to a server")

    monkeypatch.setattr(socket.socket, "connect", refused)
    RECORDS.clear()
    with MEMORY.restored():
        yield
    RECORDS.clear()


def submitted(*tasks: dict[str, Any], job_id: int = 1, level: str = "medium") -> None:
    job = {"task_name": "extract_features", "tasks": list(tasks)}
    InProcessQueue().submit_job(job, job_id, level)


def collected() -> tuple[list[Any], list[str]]:
    """By another instance, as CoralNet does."""
    queue = InProcessQueue()
    return queue.collect_jobs(queue.get_collectable_jobs())


def test_a_job_is_answered_when_it_was_submitted_and_collected_once() -> None:
    submitted(extraction())
    ((answer,), statuses) = collected()
    assert answer.ok
    assert answer.original_job["tasks"][0]["job_token"] == "a"
    assert statuses == ["SUCCEEDED"]
    assert collected() == ([], [])


def test_jobs_are_collected_in_the_order_in_which_they_were_submitted() -> None:
    for number in (3, 1, 2):
        submitted(extraction(str(number)), job_id=number)
    assert [job.job_id for job in InProcessQueue().get_collectable_jobs()] == [3, 1, 2]
    returned, _ = collected()
    assert [each.original_job["tasks"][0]["job_token"] for each in returned] == ["3", "1", "2"]


def test_a_job_that_fails_says_why() -> None:
    submitted(extraction(data=b"no image"), level="high")
    ((answer,), statuses) = collected()
    assert not answer.ok
    assert answer.error_message.startswith("PIL.UnidentifiedImageError: memory://a.png")
    assert statuses == ["SUCCEEDED"]


def test_a_large_job_goes_by_location_and_is_echoed_whole() -> None:
    message = {**extraction(), "job_token": "x" * INLINE_BYTES}
    submitted(message)
    ((answer,), _) = collected()
    assert answer.original_job["tasks"] == [message]


def test_what_is_no_job_is_refused_and_leaves_nothing() -> None:
    with pytest.raises(MessageError, match="'extract'"):
        InProcessQueue().submit_job({"task_name": "extract", "tasks": []}, 1, "medium")
    assert collected() == ([], [])


def test_a_fake_worker_answers_the_jobs_within_its_block() -> None:
    worker = FakeWorker()
    worker.answers(extract_features, fixed_features())
    with eager_queue(worker):
        submitted({**extraction(), "image_loc": at("none")})
        worker.answers(extract_features, ImageError("none.jpg: cut short"))
        submitted(extraction())
        returned, _ = collected()
        assert [answer.ok for answer in returned] == [True, False]


def test_jobs_wait_within_a_waiting_queue() -> None:
    with waiting_queue() as queue:
        submitted(extraction())
        submitted(extraction(), level="high")
        assert [task.queue for task in queue.waiting] == ["features", "features.high"]
        assert collected() == ([], ["QUEUED", "QUEUED"])
        queue.run()
        assert collected()[1] == ["SUCCEEDED", "SUCCEEDED"]


def test_jobs_can_be_handed_out_again() -> None:
    submitted(extraction(), job_id=5)
    assert collected()[1] == ["SUCCEEDED"]
    assert [record.job_id for record in RECORDS.put_back([5, 6])] == [5]
    assert collected()[1] == ["SUCCEEDED"]


# --- what a test put in place of the reference's functions -------------------------------------


class Wire(SimpleNamespace):
    """A message as the reference's classes have them: it is made of its fields and gives them."""

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Wire:
        return cls(**data)

    def serialize(self) -> dict[str, Any]:
        return dict(vars(self))


def original(*_: Any) -> None:
    raise AssertionError("the reference's own function is called")


original.__module__ = "spacer.tasks"


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Modules of the reference's names: who has it installed is tested with it elsewhere."""
    messages, classes, tasks, storage = (
        ModuleType(f"spacer.{name}") for name in ("messages", "data_classes", "tasks", "storage")
    )
    package = ModuleType("spacer")
    for name in ("ExtractFeaturesMsg", "ClassifyFeaturesMsg", "DataLocation", "JobReturnMsg"):
        setattr(messages, name, Wire)
        setattr(classes, name, Wire)
    for name in ("extract_features", "classify_features", "load_image"):
        setattr(tasks, name, original)
    tasks.load_classifier = lru_cache(original)  # type: ignore[attr-defined]
    storage.URLStorage = type("URLStorage", (), {"load": original})  # type: ignore[attr-defined]
    for module in (package, messages, classes, tasks, storage):
        monkeypatch.setitem(sys.modules, module.__name__, module)
        setattr(package, module.__name__.rpartition(".")[2], module)
    return tasks


@pytest.mark.usefixtures("reference")
def test_functions_that_nobody_replaced_are_not_called() -> None:
    submitted(extraction())
    assert collected()[1] == ["SUCCEEDED"]


@pytest.mark.parametrize("autospec", [False, True])
@pytest.mark.usefixtures("reference")
def test_a_replaced_function_is_called_with_the_reference_s_message(autospec: bool) -> None:
    answer = Wire(extractor_loaded_remotely=True, runtime=7.5)
    with mock.patch(
        "spacer.tasks.extract_features", autospec=autospec, return_value=answer
    ) as replaced:
        submitted({**extraction(), "image_loc": at("none")})
    (given,) = replaced.call_args.args
    assert isinstance(given, Wire)
    assert given.image_loc["key"] == "none"
    ((returned,), _) = collected()
    assert ExtractFeaturesReturnMsg(**returned.results[0]).runtime == 7.5
    # only while it was replaced
    submitted(extraction())
    assert collected()[1] == ["SUCCEEDED"]


@pytest.mark.usefixtures("reference")
def test_what_a_replaced_function_raises_is_the_job_s_error() -> None:
    def raises(*_: object) -> None:
        raise ValueError("a spacer error")

    with mock.patch("spacer.tasks.extract_features", raises):
        submitted(extraction())
    ((answer,), _) = collected()
    assert answer.error_message.splitlines()[-1].endswith("ValueError: a spacer error")


@pytest.mark.usefixtures("reference")
def test_several_classifications_are_each_handed_to_a_replaced_function() -> None:
    answer = Wire(runtime=1.0, scores=[], classes=["a"], valid_rowcol=True)
    message = {"job_token": "1", "feature_loc": at("none"), "classifier_loc": at("none")}
    job = {"task_name": "classify_features", "tasks": [message] * 3}
    with mock.patch("spacer.tasks.classify_features", return_value=answer) as replaced:
        InProcessQueue().submit_job(job, 1, "medium")
    assert replaced.call_count == 3
    assert collected()[1] == ["SUCCEEDED"]


@pytest.mark.usefixtures("reference")
def test_an_image_that_a_test_gives_is_looked_for_nowhere() -> None:
    given: list[Any] = []

    def image(location: Any) -> Image.Image:
        given.append(location)
        return Image.new("L", (20, 20))

    with mock.patch("spacer.tasks.load_image", image):
        submitted({**extraction(), "image_loc": {"storage_type": "url", "key": "URL 1"}})
    assert [location.key for location in given] == ["URL 1"]
    assert collected()[1] == ["SUCCEEDED"]


@pytest.mark.usefixtures("reference")
def test_a_download_that_a_test_replaces_is_asked_for_the_url() -> None:
    asked: list[str] = []

    def load(_: object, url: str) -> BytesIO:
        asked.append(url)
        stream = BytesIO()
        # and so it stands at its end
        Image.new("RGB", (20, 20)).save(stream, "PNG")
        return stream

    message = {**extraction(), "image_loc": {"storage_type": "url", "key": "URL 1"}}
    with mock.patch("spacer.storage.URLStorage.load", load):
        submitted(message)
    assert asked == ["URL 1"]
    # only while it was replaced
    submitted(message)
    returned, _ = collected()
    assert [answer.ok for answer in returned] == [True, False]
    assert returned[1].error_message.startswith("spacer.exceptions.URLDownloadError")


@pytest.mark.usefixtures("reference")
def test_what_a_replaced_download_raises_is_the_job_s_error() -> None:
    with mock.patch("spacer.storage.URLStorage.load", side_effect=ZeroDivisionError("none")):
        submitted({**extraction(), "image_loc": {"storage_type": "url", "key": "URL 1"}})
    ((answer,), _) = collected()
    assert answer.error_message.splitlines()[-1].endswith("ZeroDivisionError: none")


@pytest.mark.usefixtures("reference")
def test_a_replaced_function_that_is_never_called_is_an_error() -> None:
    with (
        mock.patch("spacer.tasks.load_classifier"),
        pytest.raises(RuntimeError, match=r"spacer\.tasks\.load_classifier is replaced"),
    ):
        submitted(extraction())
    assert collected() == ([], [])
