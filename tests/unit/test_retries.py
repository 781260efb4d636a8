"""The waits of every retry, as numbers, and docs/retries.md held to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from kombu.utils import functional
from packaging.version import Version

from spacer_tasks import retries
from spacer_tasks.config.settings import Settings
from spacer_tasks.config.sources import PREFIX
from spacer_tasks.execution.task import MessageTask
from spacer_tasks.retries import Schedule
from spacer_tasks.worker.pools import POOLS
from tests.support.checkout import CHECKOUT

PAGE = CHECKOUT / "docs/retries.md"
SOURCES = sorted((CHECKOUT / "spacer_tasks").rglob("*.py"))
CONSTANTS: dict[str, Any] = {name: value for name, value in vars(retries).items() if name.isupper()}

#: each wait, from and to; all together, from and to
TABLE: dict[str, tuple[list[tuple[float, float]], tuple[float, float]]] = {
    "TASK": (
        [(1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (30, 60)],
        (61, 122),
    ),
    "S3_BODY": ([(0.1, 0.2), (0.25, 0.5), (0.5, 1), (1, 2)], (1.85, 3.7)),
    "ANSWER_READ": ([(0.5, 1), (1, 2), (2, 4), (4, 8), (8, 16), (15, 30)], (30.5, 61)),
    "ENV_JOB": ([(1, 2), (4, 8), (15, 30)], (20, 40)),
    "CHORD_COUNT": ([(0.5, 1), (1, 2), (2, 4), (3.5, 7)], (7, 14)),
    "STORAGE_AWAY": ([(0.5, 1), (1, 2), (2, 4), (4, 8), (7.5, 15)], (15, 30)),
    "MAILMAN": (
        [(0.25, 0.5), (0.5, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (30, 60)],
        (61.75, 123.5),
    ),
    "WORKER_PROCESS": (
        [(0.5, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (30, 60)],
        (61.5, 123),
    ),
    "REDIS_REFUSES": ([(1, 1)], (1, 1)),
}


def test_the_table_holds_every_schedule() -> None:
    assert {n for n, value in CONSTANTS.items() if isinstance(value, Schedule)} == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_the_waits_and_their_sum_are_those_of_the_table(name: str) -> None:
    schedule: Schedule = CONSTANTS[name]
    waits, span = TABLE[name]
    assert [schedule.bounds_s(each) for each in range(len(schedule.longest_s))] == waits
    assert schedule.span_s() == pytest.approx(span)


@pytest.mark.parametrize("name", TABLE)
def test_what_is_waited_stays_within_the_table(name: str) -> None:
    schedule: Schedule = CONSTANTS[name]
    waits, span = TABLE[name]
    for _ in range(200):
        drawn = list(islice(schedule.waits(), len(waits)))
        for wait, (least, most) in zip(drawn, waits, strict=True):
            assert least <= wait <= most
        assert span[0] <= sum(drawn) <= span[1] + 1e-9


@pytest.mark.parametrize("name", TABLE)
def test_where_a_wait_is_left_to_chance_no_two_processes_come_back_together(name: str) -> None:
    schedule: Schedule = CONSTANTS[name]
    drawn = {schedule.wait_s(0) for _ in range(20)}
    assert len(drawn) == (1 if schedule.least_share == 1 else 20)


def test_an_endless_schedule_repeats_its_last_wait() -> None:
    assert retries.MAILMAN.retries is None
    for wait in islice(retries.MAILMAN.waits(), 7, 30):
        assert 30 <= wait <= 60
    assert len(list(retries.TASK.waits())) == retries.TASK.retries == 6


def test_the_longest_wait_of_a_task_is_reached_and_its_worker_may_hold_it_for_so_long() -> None:
    assert MessageTask.max_retries == retries.TASK.retries
    assert retries.TASK.retries is not None
    _, longest = retries.TASK.bounds_s(retries.TASK.retries - 1)
    assert longest == max(retries.TASK.longest_s) == 60
    # twice: the other half is for what runs before it
    assert all(pool.visibility_timeout > 2 * longest for pool in POOLS.values())


def kombu_waits(policy: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits of a call that always fails, by Kombu's own function."""
    slept: list[float] = [0.0]

    def fails() -> None:
        slept.append(0.0)
        raise OSError

    def sleep(seconds: float) -> None:
        slept[-1] += seconds

    monkeypatch.setattr(functional, "sleep", sleep)
    with pytest.raises(OSError):  # noqa: PT011 -- it has no text
        functional.retry_over_time(fails, OSError, **policy)
    # nothing is slept before the first try and after the last
    return [round(seconds, 3) for seconds in slept[1:-1]]


def test_kombu_waits_for_redis_as_long_as_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = kombu_waits(retries.WORKER_TO_REDIS, monkeypatch)
    assert waits[:7] == [0, 0.2, 0.4, 0.6, 0.8, 1, 1]
    few = {**retries.WORKER_SENDS, "max_retries": len(waits)}
    assert kombu_waits(few, monkeypatch) == waits
    assert (len(waits), round(sum(waits))) == (60, 57)
    assert kombu_waits(retries.CALLER_TO_REDIS, monkeypatch) == []


def test_botocore_waits_for_s3_no_longer_than_the_page_says() -> None:
    from botocore.retries.standard import ExponentialBackoff, RetryContext

    for detector in (None, Throttled()):
        options: dict[str, Any] = {"throttling_detector": detector} if detector else {}
        try:
            backoff = ExponentialBackoff(random=lambda: 1.0, **options)
        except TypeError:
            # botocore before 2026 makes no difference
            backoff = ExponentialBackoff(random=lambda: 1.0)
        waits = [backoff.delay_amount(RetryContext(each)) for each in range(1, 5)]
        assert all(wait <= most for wait, most in zip(waits, (1, 2, 4, 8), strict=True))
    assert waits == [1, 2, 4, 8]


class Throttled:
    """Tells botocore that S3 asked to come back later."""

    def is_throttling_error_from_context(self, context: Any) -> bool:
        return True


# --- the page --------------------------------------------------------------------------------


def rows() -> list[list[str]]:
    """The cells of the page's table."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def named(cell: str) -> list[str]:
    return re.findall(r"`([A-Z0-9_]+)`", cell)


def number(value: float) -> str:
    return f"{value:g}"


def ranged(bounds: tuple[float, float]) -> str:
    low, high = (number(round(value, 3)) for value in bounds)
    return low if low == high else f"{low}–{high}"


def test_the_page_names_every_constant_and_every_setting_that_it_speaks_of() -> None:
    written = {name for row in rows() for name in named(row[-1])}
    known = set(CONSTANTS) | {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    assert set(CONSTANTS) <= written <= known


@pytest.mark.parametrize("name", TABLE)
def test_the_page_says_what_a_schedule_says(name: str) -> None:
    schedule: Schedule = CONSTANTS[name]
    # the first: later rows may refer to it
    _, tries, waits, together, *_ = next(row for row in rows() if name in named(row[-1]))
    assert tries == ("no limit" if schedule.endless else str(schedule.retries))
    *before, last = [ranged(schedule.bounds_s(n)) for n in range(len(schedule.longest_s))]
    if schedule.endless and before:
        assert waits == f"{', '.join(before)}, then {last}"
    else:
        assert waits == ", ".join([*before, last])
    assert together == ("" if schedule.endless else ranged(schedule.span_s()))


@pytest.mark.parametrize(
    ("name", "retried", "together"),
    [
        ("S3_ATTEMPTS", retries.S3_ATTEMPTS - 1, "0–15"),
        ("SQS_ATTEMPTS", retries.SQS_ATTEMPTS - 1, "0–1"),
        ("MAILMAN_CRASHES", retries.MAILMAN_CRASHES - 1, ""),
        ("WORKER_TO_REDIS", retries.WORKER_TO_REDIS["max_retries"], "57"),
        ("CALLER_TO_REDIS", retries.CALLER_TO_REDIS["max_retries"], ""),
        ("REDIS_QUESTION_RETRIES", retries.REDIS_QUESTION_RETRIES, "0"),
        ("CLAIM_RETRIES", retries.CLAIM_RETRIES, "0"),
        ("TERMINAL_RETRIES", retries.TERMINAL_RETRIES, ""),
    ],
)
def test_the_page_says_how_often_others_try_again(name: str, retried: int, together: str) -> None:
    row = next(row for row in rows() if name in named(row[-1]))
    assert (row[1], row[3]) == (str(retried), together)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("STAND_ASIDE_SHARE", "a quarter of"),
        ("STAND_ASIDE_LEAST_S", f"{number(retries.STAND_ASIDE_LEAST_S)} at least"),
        ("TURN_S", f"up to {number(retries.TURN_S)}, for its turn"),
        ("STATE_AGAIN_MAX_MS", f"after {number(retries.STATE_AGAIN_MAX_MS / 1000)} at most"),
        ("ANSWER_APPEARS_S", f"for {retries.ANSWER_APPEARS_S}, and"),
        ("S3_BODY_PATIENCE_S", f"later than {retries.S3_BODY_PATIENCE_S} s after the first"),
        ("MAILMAN_UNREADABLE_S", f"for {retries.MAILMAN_UNREADABLE_S}"),
    ],
)
def test_the_page_says_for_how_long(name: str, text: str) -> None:
    assert any(text in cell for row in rows() if name in named(row[-1]) for cell in row)


@pytest.mark.skipif(
    Version(version("kombu")) < Version("5.7"), reason="older ones wait otherwise at the end"
)
def test_celery_gives_up_a_worker_s_connection_after_what_the_page_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from celery import Celery

    tries = Celery(set_as_current=False).conf.broker_connection_max_retries
    # as `Connection.ensure_connection` has them
    policy = {"max_retries": tries, "interval_start": 2, "interval_step": 2, "interval_max": 30}
    waits = kombu_waits(policy, monkeypatch)
    row = next(row for row in rows() if "broker_connection_max_retries" in row[-1])
    assert row[1:4] == [str(tries), "2, 4, 6, and so on, 30 at most", f"{sum(waits):.0f}"]
    assert waits[:3] == [2, 4, 6]
    assert max(waits) == 30


#: what sets a number of tries, or a wait that is left to chance
SETS = re.compile(
    r"max_(retries|attempts)\W+\d|interval_(start|step|max)|random\.(uniform|rand)|jitter"
)


def sets_a_retry(path: Path) -> bool:
    return SETS.search(path.read_text()) is not None


def test_no_other_file_sets_a_retry() -> None:
    # the demo's: the colours of its pictures, and a server that is watched while it starts; and
    # where points lie by chance
    others = {CHECKOUT / "spacer_tasks" / room for room in ("demo", "sampling")}
    sets = [path for path in SOURCES if sets_a_retry(path)]
    found = [path.name for path in sets if not others.intersection(path.parents)]
    assert found == ["retries.py"]
