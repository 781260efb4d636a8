"""`spacer-tasks cancel` on a real Redis, where no worker runs."""

from __future__ import annotations

import pytest

from spacer_tasks.app import app
from spacer_tasks.exceptions import TaskCancelledError
from spacer_tasks.execution.cancellation import check
from spacer_tasks.tasks import extract_features
from tests.support.command_line import run
from tests.support.messages.in_memory import extraction


@pytest.mark.usefixtures("queue")
def test_an_id_that_nothing_knows_is_told_and_one_that_waits_is_cancelled() -> None:
    waits = extract_features.delay(extraction()).id
    ran = run("cancel", waits, f"{waits[:-1]}x")
    assert ran.code == 1
    assert f"cancelled: {waits}" in ran.err
    assert f"cancelled: {waits[:-1]}x" not in ran.err
    assert f"{waits[:-1]}x: no queue, no worker and no answer knows this id" in ran.err
    # both are marked: the body of a batch may still come
    for task_id in (waits, f"{waits[:-1]}x"):
        with pytest.raises(TaskCancelledError):
            check(app, task_id)


@pytest.mark.usefixtures("queue")
def test_what_waits_or_is_cancelled_twice_is_no_mistake() -> None:
    waits = extract_features.delay(extraction()).id
    assert run("cancel", waits).code == 0
    assert run("cancel", waits).code == 0


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("command", ["status", "cancel"])
@pytest.mark.parametrize("task_id", ["", "../x", "a b"])
def test_what_is_no_id_is_refused_in_a_line(command: str, task_id: str) -> None:
    ran = run(command, task_id)
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert "id" in ran.err
