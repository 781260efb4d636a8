"""What a worker writes of a task's state, beside what another has written."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.states import FAILURE, PENDING, READY_STATES, RETRY, REVOKED, STARTED, SUCCESS

from spacer_tasks.data_classes.job_state import PROGRESS
from spacer_tasks.worker.result_backend import BACKENDS

GO_ON = (RETRY, STARTED, PROGRESS)


@pytest.fixture
def backend(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A worker's, which has seen the task before another ended it."""
    app = Celery("plain", broker=redis_url, backend=redis_url, set_as_current=False)
    app.loader.override_backends = BACKENDS
    found: Any = app.backend
    before = {"status": PENDING, "result": None}
    monkeypatch.setattr(found, "_get_task_meta_for", lambda _: before)
    return found


def state_of(backend: Any, task_id: str) -> str:
    meta = backend.decode(backend.get(backend.get_key_for_task(task_id)))
    return str(meta["status"])


@pytest.mark.parametrize("state", GO_ON)
@pytest.mark.parametrize("end", sorted(READY_STATES))
def test_a_task_that_another_ended_does_not_go_on(backend: Any, end: str, state: str) -> None:
    task_id = f"ended-{end}-{state}"
    error = ValueError("of another worker")
    backend.store_result(task_id, {"x": 1} if end == SUCCESS else error, end)
    backend.store_result(task_id, error if state == RETRY else {"done": 3}, state)
    assert state_of(backend, task_id) == end


def test_a_task_goes_on_and_ends(backend: Any) -> None:
    for state in (STARTED, PROGRESS, RETRY, STARTED, FAILURE, SUCCESS):
        value: Any = ValueError("x") if state in (RETRY, FAILURE, REVOKED) else {"x": 1}
        backend.store_result("goes-on", value, state)
        assert state_of(backend, "goes-on") == state
    key = backend.get_key_for_task("goes-on")
    assert 0 < backend.client.ttl(key) <= backend.expires
    backend.client.set(key, b"damaged")
    backend.store_result("goes-on", {"x": 1}, STARTED)
    assert state_of(backend, "goes-on") == STARTED


def test_who_waits_hears_of_a_task_that_goes_on(backend: Any) -> None:
    listener = backend.client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(backend.get_key_for_task("heard"))
    listener.get_message(timeout=5)
    backend.store_result("heard", {"done": 1}, PROGRESS)
    heard = listener.get_message(timeout=30)
    assert backend.decode(heard["data"])["status"] == PROGRESS
    listener.close()


@pytest.mark.parametrize(
    "follows",
    [
        # called in this process, with arguments that it does not take
        {"task": "celery.group", "args": [], "kwargs": {"tasks": []}, "options": {}},
        {"task": "t", "args": [], "kwargs": {}, "options": {"producer": 5}},
        5,
    ],
    ids=str,
)
def test_a_task_fails_also_where_what_follows_cannot_be_called(backend: Any, follows: Any) -> None:
    request = Context(id="failed", errbacks=[follows], delivery_info={})
    backend.mark_as_failure("failed", ValueError("x"), request=request)
    assert state_of(backend, "failed") == FAILURE


def test_a_redis_that_is_away_is_no_fault_of_what_follows(
    backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Any) -> Any:
        raise ConnectionError("away")

    monkeypatch.setattr(backend.app, "signature", away)
    request = Context(id="failed", errbacks=[{"task": "t"}], delivery_info={})
    with pytest.raises(ConnectionError):
        backend.mark_as_failure("failed", ValueError("x"), request=request)
