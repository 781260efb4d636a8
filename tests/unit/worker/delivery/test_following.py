"""What follows a task is looked at before the task runs: Celery would fail over it afterwards."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from celery import chain, chord, chunks, group, signature, xmap

from spacer_tasks.app import app
from spacer_tasks.worker.delivery.following import is_signature


def plain(task: str = "t", **options: Any) -> Any:
    return signature(task, args=(1,), kwargs={"a": 2}, options=options, app=app)


def deep(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"task": "t", "args": [], "kwargs": {}, "options": {}}
    for _ in range(levels):
        found = {**found, "options": {"link": [found]}}
    return found


@pytest.mark.parametrize(
    "made",
    [
        plain(),
        plain(queue="q", priority=3, task_id="a.b-1", countdown=1.5, expires=60, retry=False),
        plain(eta=datetime(2030, 1, 1, tzinfo=timezone.utc).isoformat(), headers={"any": [1]}),
        plain(link=[plain()], link_error=plain(), chord=plain("body"), group_id="g"),
        plain(stamped_headers=["site"], site="reef", stamps={"site": ["reef"]}),
        plain().set(immutable=True),
        group(plain(), plain()),
        chain(plain(), plain(), plain()),
        chord([plain(), plain()], plain("body")),
        chord(group(plain(), plain()), chain(plain(), plain())),
        chain(plain(), group(plain(), chain(plain(), plain())), plain()),
        xmap(plain(), [[1], [2]]),
        chunks(plain(), [[1], [2]], 2),
        deep(18),
    ],
    ids=str,
)
def test_what_celery_makes_goes_through(made: Any) -> None:
    assert is_signature(json.loads(json.dumps(made)))


@pytest.mark.parametrize(
    "value",
    [
        5,
        [],
        {},
        {"task": "t"},
        {"task": 5, "args": [], "kwargs": {}, "options": {}},
        {"task": "t", "args": [], "kwargs": {}, "options": None},
        {"task": "t", "args": {}, "kwargs": {}, "options": {}},
        {"task": "t", "args": [], "kwargs": [], "options": {}},
        {"task": "t", "args": [], "kwargs": {}, "options": {}, "immutable": 5},
        {"task": "celery.group", "args": [], "kwargs": {"tasks": []}, "options": {}},
        {"task": "celery.backend_cleanup", "args": [], "kwargs": {}, "options": {}},
        deep(30),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_no_task_is_refused(value: Any) -> None:
    assert not is_signature(value)


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("nothing", {}), (5, {}), ([], {}), ("group", {}), ("group", {"tasks": 5}),
        ("group", {"tasks": []}), ("group", {"tasks": [5]}), ("chain", {}),
        ("chain", {"tasks": []}), ("chain", {"tasks": [{"task": "t"}]}), ("chord", {}),
        ("chord", {"header": 5, "body": 6}), ("chord", {"header": [], "body": plain()}),
        ("chord", {"header": [plain()]}), ("chord", {"header": [plain()], "body": {"task": "t"}}),
        ("xmap", {"task": plain(), "it": []}),
    ],
)  # fmt: skip
def test_what_is_made_of_no_tasks_is_refused(kind: Any, kwargs: Any) -> None:
    found = {"task": "t", "args": [], "kwargs": kwargs, "options": {}, "subtask_type": kind}
    assert not is_signature(json.loads(json.dumps(found)))


@pytest.mark.parametrize(
    ("task", "kwargs"),
    [
        ("celery.map", {}), ("celery.map", {"task": plain(), "it": 5}),
        ("celery.starmap", {"it": []}), ("celery.chunks", {"task": plain(), "it": [], "n": 0}),
        ("celery.chunks", {"task": plain(), "it": []}), ("celery.chord_unlock", {}),
        ("celery.chunks", {"task": plain(), "it": [], "n": "x"}), ("celery.group", {"tasks": []}),
    ],
)  # fmt: skip
def test_celery_s_own_tasks_have_what_they_take(task: str, kwargs: Any) -> None:
    found = {"task": task, "args": [], "kwargs": kwargs, "options": {}, "subtask_type": None}
    assert not is_signature(json.loads(json.dumps(found)))


@pytest.mark.parametrize(
    "options",
    [
        {"self": 5}, {"args": [1]}, {"kwargs": {"a": 1}}, {"producer": 3}, {"connection": 4},
        {"router": 5}, {"task_type": 5}, {"body": "x"}, {"queue": 5}, {"priority": "x"},
        {"priority": -1}, {"countdown": "y"}, {"eta": "x"}, {"expires": {}}, {"headers": 5},
        {"stamped_headers": 5}, {"stamped_headers": [5]}, {"site": "reef"}, {"retry": "x"},
        {"retry_policy": 5}, {"retry_policy": {"max_retries": "x"}}, {"serializer": "pickle"},
        {"compression": "zlib"}, {"task_id": "../x"}, {"task_id": 5}, {"time_limit": "x"},
        {"soft_time_limit": []}, {"group_index": "x"}, {"link": [5]}, {"link": {"task": "t"}},
        {"link_error": 5}, {"chord": [5]}, {"chord": [deep(0)]}, {"chain": 5}, {"chain": deep(0)},
        {"chain": [{"task": "t"}]}, {"shadow": []}, {"reply_to": 5}, {"ignore_result": []},
    ],
    ids=str,
)  # fmt: skip
def test_options_with_which_it_cannot_be_sent_are_refused(options: Any) -> None:
    assert not is_signature({"task": "t", "args": [], "kwargs": {}, "options": options})
