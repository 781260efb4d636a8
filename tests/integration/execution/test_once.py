"""What is sent once: the runs of a batch."""

from __future__ import annotations

import pytest

from spacer_tasks.execution.once import SAME_RUN_S, claimed_run, forget_run


@pytest.mark.usefixtures("queue")
def test_a_batch_that_is_sent_twice_at_about_the_same_time_is_one_run() -> None:
    now = 1e9
    assert claimed_run("twice", "a", now) == "a"
    for later in (0.5, SAME_RUN_S, -SAME_RUN_S):
        assert claimed_run("twice", "b", now + later) == "a"
    # and the first of them, delivered again
    assert claimed_run("twice", "a", now) == "a"
    # of older clients, which name no run
    assert claimed_run("twice", "", now) == "a"


@pytest.mark.usefixtures("queue")
def test_a_batch_that_is_sent_later_or_after_its_answer_is_another_run() -> None:
    now = 1e9
    assert claimed_run("later", "a", now) == "a"
    assert claimed_run("later", "b", now + SAME_RUN_S + 1) == "b"
    forget_run("later")
    assert claimed_run("later", "c", now + SAME_RUN_S + 2) == "c"
