"""The last line of a failed job: one line, with the name that the reference's clients know."""

from __future__ import annotations

import json
import traceback

import pytest

from spacer_tasks import exceptions
from spacer_tasks.exceptions import (
    BucketNotFoundError,
    FeatureFileError,
    ImageError,
    S3ObjectNotFoundError,
    SpacerError,
    URLDownloadError,
    URLNotAllowedError,
    URLNotFoundError,
    URLUnavailableError,
)
from spacer_tasks.jobs.answers import failed_job
from spacer_tasks.messages.reference_errors import NAMES, error_line, error_line_of
from spacer_tasks.results import TaskError


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
    line = error_line_of(FeatureFileError("s3://b/k"))
    assert line == "spacer_tasks.exceptions.FeatureFileError: s3://b/k"


def test_many_lines_become_one() -> None:
    assert error_line("a.B", "one\r\n two\u2028three\n") == "a.B: one two three"


class Outer:
    class InnerError(Exception):
        pass


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("x"), AssertionError(), AssertionError("why"), KeyError("a"), KeyError()),
        *(Outer.InnerError(), Outer.InnerError("x"), UnicodeDecodeError("utf-8", b"a", 0, 1, "x")),
        *(json.JSONDecodeError("Expecting value", "", 0), FileNotFoundError(2, "No file", "a.jpg")),
    ],
)
def test_any_other_error_is_as_python_ends_its_traceback(error: Exception) -> None:
    last = traceback.format_exception_only(error)[-1].strip()
    assert error_line_of(error) == last
    # the same where it went through a stored answer
    of_stored = TaskError.of(error)
    assert error_line(of_stored.type, of_stored.message) == last


def test_each_name_is_one_of_the_reference_or_of_what_it_raises() -> None:
    modules = {name.rpartition(".")[0] for name in NAMES.values()}
    assert modules == {"spacer.exceptions", "PIL", "botocore.exceptions", ""}
    assert {name for name in NAMES.values() if "." not in name} == {"FileNotFoundError"}


@pytest.mark.parametrize(
    "error", [URLDownloadError, URLNotFoundError, URLNotAllowedError, URLUnavailableError]
)
def test_any_failed_download_is_one_error(error: type[SpacerError]) -> None:
    assert error_line_of(error("no")) == "spacer.exceptions.URLDownloadError: no"


def test_what_is_not_on_s3_has_botocore_s_name() -> None:
    for error in (S3ObjectNotFoundError, BucketNotFoundError):
        assert error_line_of(error("no")) == "botocore.exceptions.ClientError: no"


def test_a_traceback_stands_above_the_last_line() -> None:
    answer = failed_job({"task_name": "x"}, "builtins.KeyError", "'a'\nb", "Traceback:\n  x\n")
    assert answer.error_message == "Traceback:\n  x\nKeyError: 'a' b"
