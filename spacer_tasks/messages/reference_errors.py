"""The names by which a client of the reference knows an error.

A `JobReturnMsg` that failed says why in the last line of its `error_message`, as Python ends a
traceback: `module.ClassName: text`, without the module where the class is built in, and without
the colon where there is no text. CoralNet compares the part before the colon with names of the
reference.
"""

from __future__ import annotations

from spacer_tasks import exceptions
from spacer_tasks.exceptions import (
    BucketNotFoundError,
    ConfigError,
    DataLimitError,
    HashMismatchError,
    ImageError,
    ObjectNotFoundError,
    RowColumnInvalidError,
    RowColumnMismatchError,
    RowColumnMissingError,
    S3ObjectNotFoundError,
    SpacerError,
    TrainingLabelsError,
    URLDownloadError,
    URLNotAllowedError,
    URLNotFoundError,
    URLUnavailableError,
)

#: any download from a URL that fails, whatever the reason
_DOWNLOAD = "spacer.exceptions.URLDownloadError"
#: S3's answer 404, to a key and to a bucket
_CLIENT_ERROR = "botocore.exceptions.ClientError"
#: ours, and what the reference raises in the same case
NAMES: dict[type[SpacerError], str] = {
    ConfigError: "spacer.exceptions.ConfigError",
    DataLimitError: "spacer.exceptions.DataLimitError",
    HashMismatchError: "spacer.exceptions.HashMismatchError",
    RowColumnInvalidError: "spacer.exceptions.RowColumnInvalidError",
    RowColumnMismatchError: "spacer.exceptions.RowColumnMismatchError",
    RowColumnMissingError: "spacer.exceptions.RowColumnMissingError",
    TrainingLabelsError: "spacer.exceptions.TrainingLabelsError",
    URLDownloadError: _DOWNLOAD,
    URLNotAllowedError: _DOWNLOAD,
    URLNotFoundError: _DOWNLOAD,
    URLUnavailableError: _DOWNLOAD,
    BucketNotFoundError: _CLIENT_ERROR,
    S3ObjectNotFoundError: _CLIENT_ERROR,
    # of files; it is built in
    ObjectNotFoundError: "FileNotFoundError",
    ImageError: "PIL.UnidentifiedImageError",
}
_BY_OUR_NAME = {f"{exceptions.__name__}.{cls.__name__}": name for cls, name in NAMES.items()}
#: modules that Python leaves out of a traceback's last line
_NOT_NAMED = ("builtins.", "__main__.")


def error_line(error_type: str, text: str) -> str:
    """One line as a traceback ends, with the reference's name where it has one.

    Parameters
    ----------
    error_type
        The class with its module, as in `TaskError.type`.
    text
        What it said; line ends become blanks. Where it said nothing, the name alone is the line.
    """
    name = _BY_OUR_NAME.get(error_type, error_type)
    for module in _NOT_NAMED:
        name = name.removeprefix(module)
    said = " ".join(text.split())
    # of an error without a text, `TaskError.message` is its name
    return f"{name}: {said}" if said and not error_type.endswith(f".{said}") else name


def error_line_of(error: BaseException) -> str:
    """The same for an exception."""
    cls = type(error)
    return error_line(f"{cls.__module__}.{cls.__qualname__}", str(error))
