"""The reference's errors. Except one they are this project's own classes."""

from __future__ import annotations

from spacer_tasks import exceptions
from spacer_tasks.exceptions import (
    ConfigError,
    DataLimitError,
    HashMismatchError,
    RowColumnInvalidError,
    RowColumnMismatchError,
    RowColumnMissingError,
    TrainingLabelsError,
)

__all__ = [
    "ConfigError",
    "DataLimitError",
    "HashMismatchError",
    "RowColumnInvalidError",
    "RowColumnMismatchError",
    "RowColumnMissingError",
    "TrainingLabelsError",
    "URLDownloadError",
]


class URLDownloadError(exceptions.URLDownloadError):
    """A download from a URL failed. `original_error` says by what."""

    def __init__(self, message: str, original_error: BaseException) -> None:
        super().__init__(message, original_error)
        self.message = message
        self.original_error = original_error

    def __str__(self) -> str:
        reason = self.original_error
        return f"{self.message} / Details - {type(reason).__name__}: {reason}"
