"""The last line of a failed job: one line, with the name that the reference's clients know."""

from __future__ import annotations

import pytest

from spacer_tasks import exceptions
from spacer_tasks.exceptions import ImageError, ObjectNotFoundError, SpacerError
from spacer_tasks.jobs.answers import failed_job
from spacer_tasks.messages.reference_errors import NAMES, error_line, error_line_of


@pytest.mark.parametrize(
    "name",
    [
        "RowColumnMismatchError",
        "RowColumnInvalidError",
        "DataLimitError",
        "URLDownloadError",
        "TrainingLabelsError",
        "HashMismatchError",
    ],
)
def test_coralnet_s_names(name: str) -> None:
    error: SpacerError = getattr(exceptions, name)("row 5: why")
    assert error_line_of(error) == f"spacer.exceptions.{name}: row 5: why"


def test_an_image_that_cannot_be_read_has_pillow_s_name() -> None:
    assert (
        error_line_of(ImageError("a.jpg: no image"))
        == "PIL.UnidentifiedImageError: a.jpg: no image"
    )


def test_an_error_of_ours_alone_keeps_its_name() -> None:
    line = error_line_of(ObjectNotFoundError("s3://b/k"))
    assert line == "spacer_tasks.exceptions.ObjectNotFoundError: s3://b/k"


def test_many_lines_become_one_and_none_becomes_some() -> None:
    assert error_line("a.B", "one\r\n two\u2028three\n") == "a.B: one two three"
    assert error_line_of(ValueError()) == "builtins.ValueError: no text"


def test_each_name_is_one_of_the_reference() -> None:
    assert {name.rpartition(".")[0] for name in NAMES.values()} == {"spacer.exceptions", "PIL"}


def test_a_traceback_stands_above_the_last_line() -> None:
    answer = failed_job({"task_name": "x"}, "builtins.KeyError", "'a'\nb", "Traceback:\n  x\n")
    assert answer.error_message == "Traceback:\n  x\nbuiltins.KeyError: 'a' b"
