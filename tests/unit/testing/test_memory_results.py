"""A results prefix in memory, for a test."""

from __future__ import annotations

import pytest

from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ObjectNotFoundError
from spacer_tasks.results import find_answer, load_answer, store_answer
from spacer_tasks.storage.memory import MEMORY
from spacer_tasks.testing import memory_results


def test_answers_are_in_memory_and_forgotten_at_the_end(
    settings_changed: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_RESULTS_PREFIX", "s3://bucket/results")
    with memory_results() as prefix:
        assert prefix.storage_type == "memory"
        store_answer("1", "spacer_tasks.extract_features", None, answer={"runtime": 1.0})
        assert load_answer("1") == {"runtime": 1.0}
        assert find_answer("2") is None
    assert get_settings().results_prefix == "s3://bucket/results"
    with memory_results(), pytest.raises(ObjectNotFoundError):
        load_answer("1")


def test_what_was_stored_before_is_there_afterwards() -> None:
    before, within = (DataLocation.parse(f"memory://{name}") for name in ("before", "within"))
    with memory_results():
        MEMORY.store(before.key, b"1")
        with memory_results():
            assert MEMORY.load(before.key) == b"1"
            MEMORY.store(before.key, b"2")
            MEMORY.store(within.key, b"3")
        assert MEMORY.load(before.key) == b"1"
        assert MEMORY.version(within.key) is None
    assert MEMORY.version(before.key) is None


def test_an_operator_s_lists_do_not_keep_answers_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACER_ALLOWED_ROOTS", "none")
    with memory_results():
        store_answer("1", "spacer_tasks.extract_features", None, answer={})
        assert load_answer("1") == {}
