"""The queue in this process gives what a real one gives; nothing is connected to."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery._state import get_current_app

from spacer_tasks import operations, retries, storage
from spacer_tasks.app import app
from spacer_tasks.broker.contract import Priority
from spacer_tasks.broker.queue_depths import queue_depths
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import (
    ImageError,
    MessageError,
    StorageUnavailableError,
    TaskCancelledError,
)
from spacer_tasks.execution.cancellation import cancel
from spacer_tasks.execution.payload import INLINE_BYTES
from spacer_tasks.execution.task import MessageTask
from spacer_tasks.jobs.status import known_state
from spacer_tasks.messages.tasks import ExtractFeaturesMsg
from spacer_tasks.results import find_answer, load_answer, message_location
from spacer_tasks.tasks import classify_features, extract_features, process_job
from spacer_tasks.testing import MemoryQueue, eager_queue, waiting_queue
from spacer_tasks.workflows import train_from_images, train_many
from tests.support.messages.in_memory import at, extraction, survey


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("something connects to a server")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture
def eager() -> Iterator[MemoryQueue]:
    with eager_queue() as queue:
        yield queue


@pytest.fixture
def waiting() -> Iterator[MemoryQueue]:
    with waiting_queue() as queue:
        yield queue


@pytest.fixture
def site() -> Iterator[Celery]:
    """The application of a site, the current one of this process."""
    before = get_current_app()
    with Celery("site", broker="redis://nowhere.invalid") as site:
        site.conf.task_default_queue = "site"
        yield site
    before.set_current()


def loaded(key: str) -> Any:
    return json.loads(storage.load(DataLocation(**at(key))))


# --- what a task comes to --------------------------------------------------------------------


def test_a_task_is_run_when_it_is_sent(eager: MemoryQueue) -> None:
    sent = extract_features.delay(extraction())
    assert sent.state == "SUCCESS"
    assert storage.exists(DataLocation(**at("a.npz")))
    small = sent.get()
    assert small["task_id"] == sent.id
    assert set(small["summary"]) == {"extractor_loaded_remotely", "runtime"}
    assert load_answer(small) == load_answer(sent) == load_answer(sent.id) == small["summary"]
    assert known_state(sent.id).state is JobState.SUCCEEDED
    assert [(task.task_id, task.queue) for task in eager.sent] == [(sent.id, "features")]
    assert not eager.waiting


def test_a_task_that_fails_ends_with_its_error_and_raises_nothing(eager: MemoryQueue) -> None:
    sent = extract_features.delay(extraction(data=b"no image"))
    assert sent.state == "FAILURE"
    with pytest.raises(ImageError, match=r"a\.png"):
        sent.get()
    with pytest.raises(ImageError, match=r"a\.png"):
        load_answer(sent)
    found = find_answer(sent.id)
    assert found is not None
    assert found.error is not None
    assert found.error.kind == "input"


@pytest.mark.usefixtures("eager")
def test_a_wrong_message_is_refused_by_the_call_that_sends_it() -> None:
    with pytest.raises(MessageError, match="rowcol:"):
        extract_features.delay({**extraction(), "rowcol": 1})


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("task", [extract_features, process_job], ids=lambda task: task.name)
@pytest.mark.parametrize("sent", [(), (None,), ("a",), (3,), ([],)], ids=str)
def test_what_is_no_message_is_refused_too(task: Any, sent: tuple[Any, ...]) -> None:
    with pytest.raises(MessageError):
        task.delay(*sent)


@pytest.mark.usefixtures("eager")
def test_what_is_no_json_cannot_be_sent() -> None:
    with pytest.raises(TypeError, match="JSON"):
        extract_features.apply_async([extraction()], headers={"site": object()})


def test_a_large_message_goes_by_location(eager: MemoryQueue) -> None:
    message = {**extraction(), "job_token": "x" * INLINE_BYTES}
    sent = extract_features.delay(message)
    assert sent.state == "SUCCESS"
    assert storage.exists(message_location(sent.id))
    assert eager.sent[0].message["job_token"] == message["job_token"]


@pytest.mark.usefixtures("eager")
def test_a_job_is_echoed_in_its_stored_answer_only() -> None:
    job = {"task_name": "extract_features", "tasks": [extraction()]}
    sent = process_job.delay(job)
    assert sent.get()["summary"]["ok"] is True
    assert "original_job" not in sent.get()["summary"]
    assert load_answer(sent)["original_job"] == job


def test_a_transient_error_is_tried_again_at_once(
    eager: MemoryQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    real = operations.extract_features

    def fails_twice(msg: Any) -> Any:
        calls.append(msg)
        if len(calls) < 3:
            raise StorageUnavailableError("S3 answers 503")
        return real(msg)

    monkeypatch.setattr(operations, "extract_features", fails_twice)
    sent = extract_features.delay(extraction())
    assert sent.state == "SUCCESS"
    assert [task.task_id for task in eager.sent] == [sent.id] * 3


@pytest.mark.usefixtures("eager")
def test_a_transient_error_that_stays_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def fails(msg: Any) -> Any:
        calls.append(msg)
        raise StorageUnavailableError("S3 answers 503")

    monkeypatch.setattr(operations, "extract_features", fails)
    with pytest.raises(StorageUnavailableError):
        extract_features.delay(extraction()).get()
    assert len(calls) == 1 + (retries.TASK.retries or 0)


@pytest.mark.usefixtures("eager")
def test_a_task_sent_again_under_its_id_is_answered_from_what_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = load_answer(extract_features.apply_async([extraction()], task_id="one"))
    monkeypatch.setattr(operations, "extract_features", None)
    again = extract_features.apply_async([extraction()], task_id="one")
    assert load_answer(again) == first


# --- the site's callbacks --------------------------------------------------------------------


@pytest.mark.usefixtures("eager")
def test_callbacks_get_what_a_worker_of_the_site_s_would_get(site: Celery) -> None:
    called: list[tuple[Any, ...]] = []

    # two parameters: Celery would hand three to an error callback that the worker knows
    @site.task(shared=False)
    def done(result: Any, pk: int) -> None:
        called.append(("done", load_answer(result), pk))

    @site.task(shared=False)
    def failed(task_id: str, pk: int) -> None:
        called.append(("failed", task_id, pk))

    callbacks: dict[str, Any] = {"link": done.s(5), "link_error": failed.s(5)}
    good = extract_features.apply_async([extraction()], **callbacks)
    bad = extract_features.apply_async([extraction(data=b"no image")], **callbacks)
    assert called == [("done", load_answer(good), 5), ("failed", bad.id, 5)]


def test_a_shared_task_is_called_as_a_worker_of_ours_would_have_it_called(
    eager: MemoryQueue, site: Celery
) -> None:
    """Such a task is in our application too, in a process of the site's."""
    from celery import shared_task

    called: list[tuple[Any, ...]] = []

    @shared_task(name="reef.shared")
    def failed(task_id: str, pk: int) -> None:
        called.append((task_id, pk))

    assert "reef.shared" in app.tasks
    sent = extract_features.apply_async([extraction(data=b"no image")], link_error=failed.s(5))
    assert called == [(sent.id, 5)]
    assert eager.sent[-1].queue == "site"
    assert "reef.shared" in app.tasks


@pytest.mark.usefixtures("eager")
def test_a_callback_s_own_error_is_raised_when_the_others_are_done(site: Celery) -> None:
    called = []

    @site.task(shared=False)
    def fails(result: Any) -> None:
        raise OSError("of the site, not of Redis")

    @site.task(shared=False)
    def works(result: Any) -> None:
        called.append(result)

    with pytest.raises(OSError, match="of the site, not of Redis"):
        extract_features.apply_async([extraction()], link=[fails.s(), works.s()])
    assert len(called) == 1


def test_what_a_callback_sends_is_run_after_it(eager: MemoryQueue, site: Celery) -> None:
    states = []

    @site.task(shared=False)
    def sends(result: Any) -> None:
        states.append(extract_features.apply_async([extraction("b")], task_id="b").state)
        assert eager.run() == 0

    extract_features.apply_async([extraction()], link=sends.s())
    assert states == ["PENDING"]
    assert known_state("b").state is JobState.SUCCEEDED
    assert not eager.waiting


@pytest.mark.usefixtures("eager", "site")
def test_a_callback_that_no_application_has_is_not_passed_over() -> None:
    with pytest.raises(LookupError, match=r"'reef\.gone'.*import the module"):
        extract_features.apply_async([extraction()], link=app.signature("reef.gone"))


@pytest.mark.usefixtures("eager")
def test_a_chain_goes_on_with_the_site_s_tasks(site: Celery) -> None:
    called = []

    @site.task(shared=False)
    def add(result: Any) -> int:
        return len(result)

    @site.task(shared=False)
    def keep(number: int) -> None:
        called.append(number)

    chain(extract_features.s(extraction()), add.s(), keep.s()).apply_async()
    assert called == [3]


@pytest.mark.usefixtures("eager")
def test_a_group_and_a_chord_of_the_caller_s(site: Celery) -> None:
    called = []

    @site.task(shared=False)
    def body(results: Any) -> None:
        called.append(results)

    parts = [extract_features.s(extraction(name)) for name in "abc"]
    sent: Any = group(parts).apply_async()
    assert [part.state for part in sent.results] == ["SUCCESS"] * 3
    chord(parts, body.s()).apply_async()
    assert [len(results) for results in called] == [3]


# --- batches ---------------------------------------------------------------------------------


def test_a_batch_goes_through_all_its_stages_under_one_id(eager: MemoryQueue, site: Celery) -> None:
    called = []

    @site.task(shared=False)
    def done(result: Any) -> None:
        called.append(result)

    message = survey()
    message["images"].append({**extraction("broken", b"no image"), "rowcols": [[1, 2]]})
    for name in ("job_token", "extractor"):
        del message["images"][-1][name]
    sent = train_from_images.apply_async([message], link=done.s())
    assert sent.state == "SUCCESS"
    answer = load_answer(sent)
    assert (answer["extracted"], answer["classified"]) == (13, 1)
    assert [failure["name"] for failure in answer["failures"]] == ["memory://broken.png"]
    assert len(loaded("new.json")["scores"]) == 2
    assert [result["task_id"] for result in called] == [sent.id]
    stages = [task.name for task in eager.sent if task.task_id == sent.id]
    assert stages == [
        "spacer_tasks.train_from_images",
        "spacer_tasks.batch.train",
        "spacer_tasks.batch.finish",
    ]


@pytest.mark.usefixtures("eager")
def test_a_batch_that_fails_fails_as_one() -> None:
    message = {**survey(), "max_failed_share": 0}
    message["images"][0]["image_loc"] = at("nowhere.png")
    with pytest.raises(Exception, match=r"nowhere\.png"):
        train_from_images.delay(message).get()


@pytest.mark.usefixtures("eager")
def test_one_training_of_many() -> None:
    features = [extraction(name)["feature_loc"] for name in "ab"]
    for name in "ab":
        extract_features.delay(extraction(name))
    labels = {json.dumps(loc): [[3, 4, 1], [5, 6, 2]] for loc in features}
    training = {
        "job_token": "one",
        "trainer": "minibatch",
        "nbr_epochs": 1,
        "clf_type": "LR",
        "labels": dict.fromkeys(("train", "ref", "val"), labels),
        "model_loc": at("model"),
        "valresult_loc": at("valresult"),
    }
    message = {
        "job_token": "many",
        "trainings": [training],
        "publish_loc": at("best"),
        "summary_loc": at("summary"),
    }
    assert load_answer(train_many.delay(message))["best"]["job_token"] == "one"
    scores = classify_features.delay(
        {"job_token": "1", "feature_loc": features[0], "classifier_loc": at("best")}
    )
    assert len(load_answer(scores)["scores"]) == 2


# --- tasks that wait -------------------------------------------------------------------------


def test_tasks_wait_until_they_are_run(waiting: MemoryQueue) -> None:
    sent = extract_features.delay(extraction())
    assert known_state(sent.id).state is JobState.UNKNOWN
    assert find_answer(sent.id) is None
    (task,) = waiting.waiting
    assert task.task_id == sent.id
    assert task.name == "spacer_tasks.extract_features"
    assert ExtractFeaturesMsg(**task.message).job_token == "a"
    assert waiting.run() == 1
    assert sent.state == "SUCCESS"
    assert not waiting.waiting
    assert waiting.run() == 0


@pytest.mark.usefixtures("waiting")
def test_waiting_for_a_task_that_nobody_runs_does_not_hang() -> None:
    with pytest.raises(RuntimeError, match=r"run\(\) of the queue"):
        extract_features.delay(extraction()).get()


def test_what_waits_is_counted_and_run_by_priority(waiting: MemoryQueue) -> None:
    for name, priority in (("a", Priority.BULK), ("b", Priority.NORMAL), ("c", Priority.LOW)):
        extract_features.apply_async([extraction(name)], priority=priority)
    depth = queue_depths()["features"]
    assert depth.waiting == 3
    assert depth.by_priority == {0: 1, 3: 1, 6: 1, 9: 0}
    assert [task.message["job_token"] for task in waiting.waiting] == ["b", "c", "a"]
    assert [task.message["job_token"] for task in waiting.sent] == ["a", "b", "c"]


def test_a_task_that_waits_can_be_cancelled(waiting: MemoryQueue) -> None:
    sent = extract_features.delay(extraction())
    assert cancel(sent.id)
    waiting.run()
    with pytest.raises(TaskCancelledError):
        sent.get()
    assert not storage.exists(DataLocation(**at("a.npz")))


@pytest.mark.usefixtures("waiting")
def test_a_batch_s_parts_are_not_begun_after_it_was_cancelled() -> None:
    sent = train_from_images.delay(survey())
    assert cancel(sent.id)
    with pytest.raises(TaskCancelledError):
        sent.get()


# --- before and after ------------------------------------------------------------------------


def test_the_process_is_as_before_when_the_block_ends() -> None:
    def state() -> list[Any]:
        kept = [app.connection_for_write, app.send_task, MessageTask.apply_async]
        return [get_settings().results_prefix, app.connection_for_write().as_uri(), *kept]

    before, backend = state(), app.backend
    with eager_queue():
        sent = extract_features.delay(extraction())
        assert state() != before
    assert state() == before
    assert app.backend is backend
    assert not storage.exists(DataLocation(**at("a.npz")))
    # of a result that was got there, the state stays known
    assert sent.state == "SUCCESS"


def test_one_queue_at_a_time() -> None:
    with (
        eager_queue(),
        pytest.raises(RuntimeError, match="in use already"),
        waiting_queue(),
    ):
        pass
    with waiting_queue() as queue:
        assert not queue.sent


def test_what_waited_in_one_block_is_not_in_the_next() -> None:
    with waiting_queue():
        extract_features.delay(extraction())
    with waiting_queue() as queue:
        assert not queue.waiting
        assert queue.run() == 0


def test_a_queue_whose_block_was_left_runs_nothing() -> None:
    with waiting_queue() as queue:
        sent = extract_features.delay(extraction())
    with pytest.raises(RuntimeError, match="was left"):
        queue.run()
    assert [task.task_id for task in queue.waiting] == [sent.id]


def test_several_threads_send(eager: MemoryQueue) -> None:
    sent: list[Any] = []

    def send(name: str) -> None:
        task = extract_features.delay(extraction(name))
        sent.append((task.id, task.state))

    threads = [threading.Thread(target=send, args=(f"thread-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [state for _, state in sent] == ["SUCCESS"] * 8
    assert sorted(task.task_id for task in eager.sent) == sorted(task_id for task_id, _ in sent)


@eager_queue()
def test_it_is_a_decorator_too() -> None:
    assert extract_features.delay(extraction()).state == "SUCCESS"


def test_what_is_sent_after_a_block_is_sent_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    # not in its stubs
    amqp: Any = app.amqp
    # as in a process that has sent nothing yet
    for made in ("send_task_message", "_event_dispatcher"):
        monkeypatch.delitem(vars(amqp), made, raising=False)
    with eager_queue():
        extract_features.delay(extraction())
    # events are published by Redis, and go into no queue, where they would stay
    assert amqp._event_dispatcher.exchange.type == "fanout"
