"""What the watchdog goes by."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from spacer_tasks.worker.watchdog import _time_limit, memory_bytes


def test_a_message_s_own_time_limit_goes_before_the_worker_s(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_FEATURE_TIME_LIMIT_S", "7")
    settings_changed()
    # a task's own limit is Celery's for the other pools: a day
    task = SimpleNamespace(time_limit=86400)
    assert _time_limit(SimpleNamespace(time_limits=(None, None), task=task)) == 7
    assert _time_limit(SimpleNamespace(time_limits=(3, None), task=task)) == 3


def test_memory_grows_with_what_is_held() -> None:
    before = memory_bytes()
    # pages of their own: an array would take what the process had freed and kept
    with mmap.mmap(-1, 64 * 2**20) as held:
        held.write(b"x" * len(held))
        assert memory_bytes() - before > 32 * 2**20
