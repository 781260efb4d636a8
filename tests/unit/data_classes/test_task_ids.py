"""Which ids a task can have."""

from __future__ import annotations

from typing import Any

import pytest

from spacer_tasks import storage
from spacer_tasks.data_classes.task_ids import MAX_LENGTH, MAX_PART_LENGTH, checked_id, fault_of_id
from spacer_tasks.exceptions import MessageError
from spacer_tasks.execution.batch import batch_location
from spacer_tasks.results import (
    answer_location,
    checkpoints_location,
    load_answer,
    message_location,
    store_answer,
)
from spacer_tasks.tasks import extract_features

GOOD = ["a", "7", "-", "_", "...", "A-b_c.9", "x" * MAX_LENGTH]
BAD: list[Any] = [
    "", ".", "..", "../../data/x", "a/b", "a\\b", "a b", "a\n", "a\0", "ä", "٣", "*", "a:b",
    "x" * (MAX_LENGTH + 1), None, 7, ["a"], {}, b"a",
]  # fmt: skip


@pytest.mark.parametrize("task_id", GOOD)
def test_an_id_of_letters_digits_and_some_marks_is_taken(task_id: str) -> None:
    assert fault_of_id(task_id) is None
    assert checked_id(task_id) == task_id


@pytest.mark.parametrize("task_id", BAD, ids=repr)
def test_any_other_is_refused(task_id: Any) -> None:
    with pytest.raises(MessageError, match="its id"):
        checked_id(task_id)


@pytest.mark.parametrize("task_id", [each for each in BAD if each is not None], ids=repr)
def test_a_task_is_not_sent_by_such_an_id(task_id: Any) -> None:
    with pytest.raises(MessageError, match="its id"):
        extract_features.apply_async(({},), task_id=task_id)


@pytest.mark.parametrize("place", [answer_location, message_location, checkpoints_location])
def test_nothing_is_stored_outside_of_the_results_prefix(
    place: Any, monkeypatch: pytest.MonkeyPatch, settings_changed: Any, tmp_path: Any
) -> None:
    monkeypatch.setenv("SPACER_RESULTS_PREFIX", str(tmp_path / "results"))
    settings_changed()
    assert str(place("a").key).startswith(str(tmp_path / "results"))
    with pytest.raises(MessageError, match="its id"):
        place("../../data/x")


@pytest.mark.parametrize("length", [240, 241, MAX_LENGTH, MAX_PART_LENGTH])
def test_the_longest_id_has_files_of_its_own(
    length: int, monkeypatch: pytest.MonkeyPatch, settings_changed: Any, tmp_path: Any
) -> None:
    monkeypatch.setenv("SPACER_RESULTS_PREFIX", str(tmp_path))
    settings_changed()
    one, other = "x" * length, "x" * (length - 1) + "y"
    for number, task_id in enumerate((one, other)):
        store_answer(task_id, "task", None, answer={"number": number})
        storage.store(message_location(task_id), b"{}")
        storage.store(checkpoints_location(task_id).joined("1.safetensors"), b"")
        storage.store(batch_location(task_id[:MAX_LENGTH], "extract.json"), b"")
    assert [load_answer(each) for each in (one, other)] == [{"number": 0}, {"number": 1}]
    # shorter ones, and those on S3, are where they were
    assert (f"/{one}.json" in answer_location(one).key) == (length == 240)
    monkeypatch.setenv("SPACER_RESULTS_PREFIX", "s3://bucket/results")
    settings_changed()
    assert answer_location(one).key == f"results/answers/{one}.json"
