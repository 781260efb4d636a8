"""A worker that computes nothing answers as a test says; all around it is real."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from spacer_tasks import operations, retries
from spacer_tasks.app import app
from spacer_tasks.exceptions import (
    ImageError,
    MessageError,
    StorageUnavailableError,
    TrainingLabelsError,
)
from spacer_tasks.messages.tasks import ExtractFeaturesMsg, ExtractFeaturesReturnMsg
from spacer_tasks.results import find_answer, load_answer
from spacer_tasks.tasks import (
    classify_features,
    classify_image,
    extract_features,
    process_job,
    train_classifier,
)
from spacer_tasks.testing import (
    FakeWorker,
    NoRuleError,
    eager_queue,
    fixed_features,
    fixed_scores,
    waiting_queue,
)
from spacer_tasks.testing.fake_worker import ANSWERS
from spacer_tasks.workflows import extract_one, train_from_images
from tests.support.messages.in_memory import at, survey

#: what the base package does without; its import fails
WITHOUT = ["torch", "numpy", "sklearn", "scipy", "PIL", "safetensors", "isal", "onnxruntime"]
IN_A_WEB_PROCESS = f"""
import sys
for name in {WITHOUT}:
    sys.modules[name] = None
from spacer_tasks import classify_image, extract_features, load_answer, process_job
from spacer_tasks.exceptions import ImageError
from spacer_tasks.testing import FakeWorker, eager_queue, fixed_features, fixed_scores
s3 = {{"storage_type": "s3", "bucket_name": "b", "key": "k"}}
given = {{"job_token": "1", "extractor": "efficientnet", "rowcols": [[1, 2]], "image_loc": s3}}
worker = FakeWorker()
worker.answers(extract_features, fixed_features())
worker.answers(classify_image, fixed_scores(["sand", "coral"], [0.25, 0.75]))
with eager_queue(worker):
    image = {{**given, "classifier_loc": s3}}
    load_answer(extract_features.delay({{**given, "feature_loc": {{**s3, "key": "f"}}}}))
    job = {{"task_name": "classify_image", "tasks": [image]}}
    print(load_answer(process_job.delay(job))["results"][0]["scores"])
    worker.answers(classify_image, ImageError("none"))
    print(classify_image.delay(image).state)
print("boto3" in sys.modules)
"""


def asked(**changed: Any) -> dict[str, Any]:
    """A message whose image nobody looks for."""
    message = {
        "job_token": "1",
        "extractor": {"class_path": "efficientnet", "data_locations": {"weights": at("w")}},
        "rowcols": [[3, 4], [5, 6]],
        "image_loc": at("image"),
        "feature_loc": at("features"),
        **changed,
    }
    return {name: value for name, value in message.items() if value is not None}


def to_classify() -> dict[str, Any]:
    return asked(feature_loc=None, classifier_loc=at("classifier"))


@pytest.fixture(autouse=True)
def nothing_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("extract_features", "train_classifier", "classify_features", "classify_image"):
        monkeypatch.setattr(operations, name, None)


@pytest.fixture
def worker() -> Iterator[FakeWorker]:
    """Who runs what this test sends."""
    worker = FakeWorker()
    with eager_queue(worker):
        yield worker


def test_nothing_that_computes_is_needed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_WEB_PROCESS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[[1, 2, [0.25, 0.75]]]", "FAILURE", "False"]


def test_a_fixed_answer(worker: FakeWorker) -> None:
    answer = ExtractFeaturesReturnMsg(extractor_loaded_remotely=True, runtime=2.5)
    worker.answers(extract_features, answer)
    sent = extract_features.delay(asked())
    assert load_answer(sent) == answer.to_wire()
    assert sent.get()["summary"] == answer.to_wire()
    found = find_answer(sent.id)
    assert found is not None
    assert found.worker == "in-process"


def test_a_function_of_the_message(worker: FakeWorker) -> None:
    def rule(msg: ExtractFeaturesMsg) -> ExtractFeaturesReturnMsg:
        if len(msg.rowcols) > 1:
            raise ImageError(f"{msg.image_loc}: two points")
        return ExtractFeaturesReturnMsg(extractor_loaded_remotely=False, runtime=len(msg.rowcols))

    worker.answers(extract_features, rule)
    assert load_answer(extract_features.delay(asked(rowcols=[[1, 2]])))["runtime"] == 1
    with pytest.raises(ImageError, match="memory://image: two points"):
        extract_features.delay(asked()).get()


@pytest.mark.parametrize(
    ("error", "kind", "tries"),
    [
        (TrainingLabelsError("one class"), "input", 1),
        (StorageUnavailableError("503"), "transient", 1 + (retries.TASK.retries or 0)),
        (ZeroDivisionError("a bug"), "bug", 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_ends_a_task_as_it_would_have(error: Exception, kind: str, tries: int) -> None:
    worker = FakeWorker()
    worker.answers(extract_features, error)
    with eager_queue(worker) as queue:
        sent = extract_features.delay(asked())
        found = find_answer(sent.id)
        assert found is not None
        assert found.error is not None
        assert (found.error.kind, found.error.message) == (kind, str(error))
        assert len(queue.sent) == tries


def test_a_job_is_answered_by_the_rules_of_its_tasks(worker: FakeWorker) -> None:
    worker.answers(classify_image, fixed_scores(["a", "b"], [0.9, 0.1]))
    job = {"task_name": "classify_image", "tasks": [to_classify(), to_classify()]}
    answer = load_answer(process_job.delay(job))
    assert answer["ok"]
    assert answer["original_job"] == job
    assert [each["classes"] for each in answer["results"]] == [["a", "b"]] * 2
    worker.answers(classify_image, ImageError("a.jpg: cut short"))
    answer = load_answer(process_job.delay(job))
    assert not answer["ok"]
    assert answer["error_message"] == "PIL.UnidentifiedImageError: a.jpg: cut short"


def test_a_batch_is_answered_as_a_whole(worker: FakeWorker) -> None:
    worker.answers(train_from_images, ImageError("none of them"))
    with pytest.raises(ImageError):
        train_from_images.delay(survey()).get()


def test_tasks_that_wait_are_answered_in_turns() -> None:
    with waiting_queue() as queue:
        sent = [extract_features.delay(asked(job_token=token)) for token in "ab"]
        worker = FakeWorker()
        worker.answers(extract_features, fixed_features())
        assert [task.message["job_token"] for task in queue.waiting] == ["a", "b"]
        assert queue.run(worker) == 2
        assert [each.state for each in sent] == ["SUCCESS"] * 2


@pytest.mark.parametrize("job", [False, True], ids=["task", "job"])
def test_a_task_without_a_rule_is_a_mistake_of_the_test(worker: FakeWorker, job: bool) -> None:
    whole = {"task_name": "classify_image", "tasks": [to_classify()]}
    send, message = (process_job, whole) if job else (classify_image, to_classify())
    with pytest.raises(NoRuleError, match=r"spacer_tasks\.classify_image was sent.*no rule"):
        send.delay(message)
    # and what follows is run as before
    worker.answers(classify_image, fixed_scores(["a"], [1.0]))
    assert classify_image.delay(to_classify()).state == "SUCCESS"


def test_a_rule_that_does_not_fit_its_task_is_refused(worker: FakeWorker) -> None:
    features = ExtractFeaturesReturnMsg(extractor_loaded_remotely=False, runtime=0)
    with pytest.raises(TypeError, match="ClassifyReturnMsg, found a ExtractFeaturesReturnMsg"):
        worker.answers(classify_image, features)
    worker.answers(classify_image, lambda _: features)
    with pytest.raises(NoRuleError, match="ClassifyReturnMsg, found a ExtractFeaturesReturnMsg"):
        classify_image.delay(to_classify())
    worker.answers(classify_image, lambda _: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(NoRuleError, match="found a NoneType"):
        classify_image.delay(to_classify())


@pytest.mark.parametrize("task", [extract_one, "spacer_tasks.extract_features", print, None])
def test_only_what_callers_send_has_a_rule(worker: FakeWorker, task: Any) -> None:
    with pytest.raises(TypeError, match="is not a task that callers send"):
        worker.answers(task, ImageError("x"))


@pytest.mark.usefixtures("worker")
def test_a_wrong_message_is_refused_as_ever() -> None:
    with pytest.raises(MessageError, match="classifier_loc"):
        classify_features.delay({"job_token": "1", "feature_loc": at("a")})


def test_every_task_that_callers_send_can_have_a_rule() -> None:
    app.loader.import_default_modules()
    sent_by_workers = {name for name in app.tasks if name.startswith("spacer_tasks.batch.")}
    ours = {name for name in app.tasks if name.startswith("spacer_tasks.")}
    assert set(ANSWERS) == ours - sent_by_workers
    assert train_classifier.name in ANSWERS
