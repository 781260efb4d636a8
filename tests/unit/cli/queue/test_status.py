"""What `spacer-tasks status` warns of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spacer_tasks.cli.queue import status
from spacer_tasks.exceptions import ConfigError


def test_the_status_warns_of_what_workers_would_refuse(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    def prefix(text: str) -> None:
        monkeypatch.setenv("SPACER_RESULTS_PREFIX", text)
        settings_changed()

    def evicts() -> None:
        raise ConfigError("it evicts tasks")

    said: list[str] = []
    monkeypatch.setattr(status, "warn", said.append)
    monkeypatch.setattr(status, "check_redis", evicts)
    prefix("https://host/x")
    status._warn_of_faults()
    assert said[0] == "it evicts tasks"
    assert "answers cannot be kept under the results prefix" in said[1]
    said.clear()
    monkeypatch.setattr(status, "check_redis", lambda: None)
    # who only sends needs no place for answers
    prefix("")
    status._warn_of_faults()
    assert said == []
