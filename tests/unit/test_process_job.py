"""A whole job of the reference, without a queue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import operations
from spacer_tasks.classifiers import load_classifier
from spacer_tasks.data_classes import DataLocation
from spacer_tasks.exceptions import StorageUnavailableError

FIXTURES = Path(__file__).parents[1] / "fixtures" / "pyspacer"


def training(folder: Path) -> dict[str, Any]:
    """The reference's training message, with its relative keys made absolute."""
    text = (FIXTURES / "str_lr.train_msg.json").read_text()
    message: dict[str, Any] = json.loads(text.replace("features_str/", f"{FIXTURES}/features_str/"))
    for name in ("model_loc", "valresult_loc"):
        message[name] = {"storage_type": "filesystem", "key": str(folder / name)}
    return message


def test_a_job_trains_echoes_itself_and_stores_what_the_reference_loads(tmp_path: Path) -> None:
    job = {"task_name": "train_classifier", "tasks": [training(tmp_path)]}
    answer = operations.process_job(job)
    assert answer.ok
    assert answer.original_job == job
    assert answer.results is not None
    assert answer.results[0]["acc"] > 0.9
    # the first byte of a pickle
    assert (tmp_path / "model_loc").read_bytes()[:1] == b"\x80"
    assert load_classifier(DataLocation.parse(str(tmp_path / "model_loc"))).clf_type == "LR"


@pytest.mark.parametrize(("given", "pickled"), [("spacer", False), ("pyspacer", True)])
def test_a_job_may_say_which_format_it_wants(tmp_path: Path, given: str, pickled: bool) -> None:
    message = {**training(tmp_path), "classifier_format": given}
    assert operations.process_job({"task_name": "train_classifier", "tasks": [message]}).ok
    assert ((tmp_path / "model_loc").read_bytes()[:1] == b"\x80") is pickled


def test_a_training_outside_a_job_stores_a_file_without_code(tmp_path: Path) -> None:
    operations.train_classifier(training(tmp_path))
    assert (tmp_path / "model_loc").read_bytes()[:1] != b"\x80"


def test_a_job_that_fails_says_why_in_its_last_line(tmp_path: Path) -> None:
    message = training(tmp_path)
    message["labels"]["train"] = {}
    answer = operations.process_job({"task_name": "train_classifier", "tasks": [message]})
    assert not answer.ok
    assert answer.results is None
    last = (answer.error_message or "").splitlines()[-1]
    assert last.startswith("spacer_tasks.exceptions.TrainingLabelsError: ")


def test_a_storage_that_is_away_does_not_end_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StorageUnavailableError("S3 answers 503")

    monkeypatch.setattr(operations, "train_classifier", away)
    with pytest.raises(StorageUnavailableError):
        operations.process_job({"task_name": "train_classifier", "tasks": [training(tmp_path)]})
