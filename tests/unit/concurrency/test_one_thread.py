"""Products on one thread: the limit holds inside, and what was there before comes back."""

from __future__ import annotations

import time
from threading import Event, Thread

from threadpoolctl import threadpool_info, threadpool_limits

from spacer_tasks.concurrency.one_thread import one_thread

#: seconds; far more than a thread waits on a busy machine
LIMIT_S = 30


def blas_threads() -> set[int]:
    """Of numpy's library; scipy brings one of its own."""
    found = [each for each in threadpool_info() if each["user_api"] == "blas"]
    return {each["num_threads"] for each in found if "numpy" in each["filepath"]}


def test_inside_there_is_one_thread_and_after_it_as_many_as_before() -> None:
    with threadpool_limits(2, user_api="blas"):
        with one_thread(), one_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {2}


def test_threads_that_want_it_at_once_leave_what_was_there() -> None:
    before = blas_threads()
    inside, seen = Event(), []

    def first() -> None:
        with one_thread():
            inside.set()
            time.sleep(0.1)
            seen.append(blas_threads())

    def second() -> None:
        inside.wait(LIMIT_S)
        with one_thread():
            seen.append(blas_threads())

    threads = [Thread(target=first), Thread(target=second)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(LIMIT_S)
    assert seen == [{1}, {1}]
    assert blas_threads() == before
