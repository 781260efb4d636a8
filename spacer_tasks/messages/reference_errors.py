"""The names by which a client of the reference knows an error.

A `JobReturnMsg` that failed says why in the last line of its `error_message`, as
`module.ClassName: text`. CoralNet compares the part before the colon with names of the reference.
"""

from __future__ import annotations

from spacer_tasks import exceptions
from spacer_tasks.exceptions import (
    ConfigError,
    DataLimitError,
    HashMismatchError,
    ImageError,
    RowColumnInvalidError,
    RowColumnMismatchError,
    RowColumnMissingError,
    SpacerError,
    TrainingLabelsError,
    URLDownloadError,
    URLUnavailableError,
)

#: ours, and what the reference raises in the same case
NAMES: dict[type[SpacerError], str] = {
    ConfigError: "spacer.exceptions.ConfigError",
    DataLimitError: "spacer.exceptions.DataLimitError",
    HashMismatchError: "spacer.exceptions.HashMismatchError",
    RowColumnInvalidError: "spacer.exceptions.RowColumnInvalidError",
    RowColumnMismatchError: "spacer.exceptions.RowColumnMismatchError",
    RowColumnMissingError: "spacer.exceptions.RowColumnMissingError",
    TrainingLabelsError: "spacer.exceptions.TrainingLabelsError",
    URLDownloadError: "spacer.exceptions.URLDownloadError",
    # to the reference any download that fails is one error
    URLUnavailableError: "spacer.exceptions.URLDownloadError",
    ImageError: "PIL.UnidentifiedImageError",
}
_BY_OUR_NAME = {f"{exceptions.__name__}.{cls.__name__}": name for cls, name in NAMES.items()}


def error_line(error_type: str, text: str) -> str:
    """One line `module.ClassName: text`, with the reference's name where it has one.

    Parameters
    ----------
    error_type
        The class with its module, as in `TaskError.type`.
    text
        What it said; line ends become blanks, and an empty text says so.
    """
    name = _BY_OUR_NAME.get(error_type, error_type)
    return f"{name}: {' '.join(text.split()) or 'no text'}"


def error_line_of(error: BaseException) -> str:
    """The same for an exception."""
    cls = type(error)
    return error_line(f"{cls.__module__}.{cls.__qualname__}", str(error))
