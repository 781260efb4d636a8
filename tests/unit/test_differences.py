"""What docs/differences.md says of messages that the reference takes, or refuses otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spacer_tasks.operations import process_job

Task = dict[str, Any]


@pytest.fixture
def task(tmp_path: Path) -> Task:
    Image.fromarray(np.full((20, 30, 3), 7, np.uint8)).save(tmp_path / "photo.png")

    def at(name: str) -> Task:
        return {"storage_type": "filesystem", "key": str(tmp_path / name), "bucket_name": None}

    return {
        "job_token": "1",
        "extractor": {
            "class_path": "spacer.extractors.base.DummyExtractor",
            "data_locations": {},
            "data_hashes": {},
            "feature_dim": 8,
        },
        "rowcols": [[1, 2]],
        "image_loc": at("photo.png"),
        "feature_loc": at("features"),
    }


def job(*tasks: Any, **fields: Any) -> Task:
    return {"task_name": "extract_features", "tasks": list(tasks), **fields}


def set_extractor(**options: Any) -> Callable[[Task], None]:
    return lambda task: task["extractor"].update(options)


def set_field(**fields: Any) -> Callable[[Task], None]:
    return lambda task: task.update(fields)


OURS = "spacer_tasks.exceptions.MessageError"
POINTS = "spacer.exceptions.RowColumnInvalidError"


@pytest.mark.parametrize(
    ("change", "name", "text"),
    [
        (set_field(foo=1), OURS, "foo"),
        (set_extractor(foo=1), OURS, "unknown option foo; its options are: feature_dim"),
        (
            set_extractor(feature_dim=0),
            OURS,
            "option feature_dim: Input should be greater than or equal to 1",
        ),
        (
            set_extractor(feature_dim="7"),
            OURS,
            "option feature_dim: Input should be a valid integer (found '7')",
        ),
        (set_field(extractor=None), OURS, "extractor"),
        (set_field(extractor={}), OURS, "extractor.class_path: Field required"),
        (
            set_extractor(class_path="spacer.nope.X"),
            "spacer_tasks.exceptions.UnknownExtractorError",
            "registered are",
        ),
        (
            set_extractor(data_locations={"more": {"storage_type": "memory", "key": "a"}}),
            OURS,
            "unknown data location more",
        ),
        (set_field(feature_loc={"storage_type": "url", "key": "http://x"}), OURS, "url"),
        (set_field(image_loc={"storage_type": "s3", "key": "a"}), OURS, "bucket_name"),
        (set_field(image_loc={"storage_type": "filesystem", "key": ""}), OURS, "image_loc.key"),
        (
            set_field(image_loc={"storage_type": "filesystem", "key": "a\0b"}),
            "spacer_tasks.exceptions.StorageAccessError",
            "'a\\x00b' is no path",
        ),
        (set_field(rowcols=[[True, False]]), POINTS, "found 'True'"),
        (set_field(rowcols=[]), POINTS, "at least 1"),
        (set_field(rowcols=[[1]]), POINTS, r"rowcols.0.1"),
        (set_field(rowcols=None), POINTS, "rowcols"),
    ],
)
def test_a_message_that_cannot_be_done_is_answered_and_says_why(
    task: Task, change: Callable[[Task], None], name: str, text: str
) -> None:
    change(task)
    answer = process_job(job(task))
    assert not answer.ok
    assert answer.error_message is not None
    last = answer.error_message.strip().splitlines()[-1]
    assert last.startswith(f"{name}: ")
    assert text in last


@pytest.mark.parametrize(
    "message",
    [{"tasks": []}, {"task_name": "extract_features", "tasks": None}, job(foo=1)],
)
def test_a_job_that_cannot_be_read_is_answered_too(message: Task) -> None:
    answer = process_job(message)
    assert not answer.ok
    assert answer.error_message is not None
    assert "MessageError: JobMsg: " in answer.error_message


def test_what_the_reference_does_not_read_is_taken_where_its_meaning_is_plain(task: Task) -> None:
    del task["extractor"]["data_locations"]
    assert process_job(job(task)).ok
    task["extractor"] = "spacer.extractors.DummyExtractor"
    answer = process_job(job(task))
    assert answer.ok
    assert [dict(one)["extractor_loaded_remotely"] for one in answer.results or []] == [False]


def test_of_two_mistakes_the_classifier_is_named_before_the_points(
    task: Task, tmp_path: Path
) -> None:
    del task["feature_loc"]
    task["rowcols"] = [[900, 0]]
    task["classifier_loc"] = {"storage_type": "filesystem", "key": str(tmp_path / "none")}
    answer = process_job({"task_name": "classify_image", "tasks": [task]})
    assert answer.error_message is not None
    assert "FileNotFoundError: no file" in answer.error_message


@pytest.mark.parametrize("suffix", [".ico", ".pcx", ".dds", ".sgi", ".icns"])
def test_a_format_that_no_camera_writes_is_refused(task: Task, tmp_path: Path, suffix: str) -> None:
    place = tmp_path / f"photo{suffix}"
    Image.new("RGB", (128, 128), (1, 2, 3)).save(place)
    task["image_loc"]["key"] = str(place)
    answer = process_job(job(task))
    assert answer.error_message is not None
    assert "PIL.UnidentifiedImageError" in answer.error_message
    assert "starts with the bytes" in answer.error_message
