"""Whether a worker can do its work, asked before it takes any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from spacer_tasks.exceptions import ConfigError, StorageUnavailableError
from spacer_tasks.execution import storage_away
from spacer_tasks.execution.storage_away import StorageAway
from spacer_tasks.worker import readiness
from spacer_tasks.worker.storage_watch import WATCH

Prefix = Callable[[str], None]


@pytest.fixture
def prefix(monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]) -> Prefix:
    def use(text: str) -> None:
        monkeypatch.setenv("SPACER_RESULTS_PREFIX", text)
        settings_changed()

    return use


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> list[StorageAway]:
    """What a worker waits for."""
    noted: list[StorageAway] = []
    monkeypatch.setattr(WATCH, "note", noted.append)
    return noted


def raises(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def test_a_folder_that_can_be_written_is_a_place_for_answers(
    prefix: Prefix, away: list[StorageAway], tmp_path: Path
) -> None:
    prefix(str(tmp_path))
    readiness.check_results()
    assert away == []
    # and nothing of the question is left
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


@pytest.mark.parametrize("text", ["https://host/x", "/proc/nowhere", "s3://"])
def test_what_is_no_place_for_answers_is_refused(
    prefix: Prefix, away: list[StorageAway], text: str
) -> None:
    prefix(text)
    with pytest.raises(ConfigError, match="SPACER_RESULTS_PREFIX"):
        readiness.check_results()
    assert away == []


def test_a_storage_that_does_not_answer_is_waited_for(
    prefix: Prefix, away: list[StorageAway], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix(str(tmp_path))
    monkeypatch.setattr(storage_away, "probe_writing", raises(StorageUnavailableError("no answer")))
    readiness.check_results()
    assert [each.uri for each in away] == [""]


def test_a_redis_that_does_not_answer_yet_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "check_redis", raises(RedisConnectionError("refused")))
    assert not readiness.redis_is_right()
    monkeypatch.setattr(readiness, "check_redis", lambda: None)
    assert readiness.redis_is_right()
    monkeypatch.setattr(readiness, "check_redis", raises(ConfigError("a cluster")))
    with pytest.raises(ConfigError, match="a cluster"):
        readiness.redis_is_right()
