"""Threads on a clock of their own: who waits for what, and when it comes."""

from __future__ import annotations

from types import ModuleType

import pytest

from benchmarks.virtual_time import Condition, Future, Semaphore, World


def test_the_clock_goes_on_only_while_all_wait() -> None:
    world, seen = World(), []

    def late() -> None:
        world.sleep(1e6)
        seen.append(("late", world.now))

    def early() -> None:
        world.sleep(1)
        world.sleep(2)
        seen.append(("early", world.now))

    world.run(late, early)
    assert seen == [("early", 3), ("late", 1e6)]


def test_a_lock_is_given_to_who_waits_longest() -> None:
    world, order = World(), []
    lock = Semaphore(world, 1)

    def work(number: int) -> None:
        with lock:
            order.append((number, world.now))
            world.sleep(5)

    world.run(*[lambda number=number: work(number) for number in range(3)])
    assert order == [(0, 0), (1, 5), (2, 10)]


def test_so_many_have_a_semaphore_at_once() -> None:
    world = World()
    two = Semaphore(world, 2)

    def work() -> None:
        with two:
            world.sleep(1)

    world.run(*[work] * 7)
    assert world.now == 4


def test_a_condition_wakes_by_a_call_or_when_its_time_is_over() -> None:
    world, woken = World(), []
    condition = Condition(world)

    def wait(seconds: float | None) -> None:
        woken.append((condition.wait(seconds), world.now))

    def call() -> None:
        world.sleep(2)
        condition.notify_all()
        # those that have gone are not called again
        condition.notify_all()

    world.run(lambda: wait(1), lambda: wait(None), lambda: wait(9), call)
    assert woken == [(False, 1), (True, 2), (True, 2)]
    assert world.now == 2


def test_a_future_gives_its_result_or_its_error() -> None:
    world, got = World(), []
    good, bad = Future(world), Future(world)

    def give() -> None:
        world.sleep(1)
        good.set_result(7)
        bad.set_exception(KeyError("x"))

    def take() -> None:
        got.append(good.result())
        with pytest.raises(KeyError):
            bad.result()

    world.run(take, give)
    assert got == [7]
    assert good.done()


def test_threads_that_wait_for_each_other_are_an_error() -> None:
    world = World()
    lock = Semaphore(world, 0)
    with pytest.raises(RuntimeError, match="all threads wait"):
        world.run(lock.acquire)


def test_what_a_thread_raises_is_raised() -> None:
    world = World()

    def fails() -> None:
        world.sleep(1)
        raise KeyError("x")

    with pytest.raises(KeyError):
        world.run(fails, lambda: world.sleep(5))


def test_it_stands_in_for_what_a_module_imports_and_no_longer() -> None:
    module = ModuleType("m")
    usual = module.Lock = object()  # type: ignore[attr-defined]
    world = World()
    with world.stands_in(module):
        assert isinstance(module.Lock(), Semaphore)
        assert not hasattr(module, "Condition")
    assert module.Lock is usual
