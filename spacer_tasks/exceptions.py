"""Every error a user can meet, and whether trying again can help.

Three kinds. *Input*: this image, these points, this file are wrong; trying again cannot help.
*Transient*: storage or network; tasks retry these by themselves. *Bug*: any other exception.

Each class is made from one text, so that an error crosses the result backend and comes back as
the same class. What each is derived from::

    SpacerError
    ├─ InputError
    │  ├─ ConfigError
    │  ├─ MessageError
    │  │  ├─ UnknownExtractorError
    │  │  └─ UnknownTrainerError
    │  ├─ StorageError
    │  │  ├─ ObjectNotFoundError
    │  │  │  ├─ S3ObjectNotFoundError
    │  │  │  └─ URLNotFoundError
    │  │  ├─ AnswerDamagedError
    │  │  ├─ BucketNotFoundError
    │  │  ├─ StorageAccessError
    │  │  ├─ LocationNotAllowedError
    │  │  │  └─ URLNotAllowedError
    │  │  └─ URLDownloadError
    │  ├─ SQSError
    │  ├─ TaskCancelledError
    │  ├─ ImageError
    │  ├─ DataLimitError
    │  ├─ RowColumnInvalidError
    │  ├─ RowColumnMismatchError
    │  ├─ RowColumnMissingError
    │  ├─ PointsFileError
    │  ├─ HashMismatchError
    │  ├─ WeightsError
    │  ├─ FeaturesNotFiniteError
    │  ├─ FeatureFileError
    │  ├─ FeatureDimensionError
    │  ├─ ClassifierFileError
    │  ├─ TrainingLabelsError
    │  └─ TooManyFailuresError
    ├─ TransientError
    │  ├─ StorageUnavailableError
    │  │  └─ URLUnavailableError
    │  ├─ BrokerUnavailableError
    │  ├─ DeviceLostError
    │  ├─ SQSUnavailableError
    │  ├─ JobLostError
    │  └─ AnswerExpiredError
    ├─ TaskAbandonedError
    ├─ ResultRefusedError
    ├─ RunningElsewhere
    └─ TaskTimeoutError
"""

from __future__ import annotations

from typing import Literal

from spacer_tasks.printable import printable_list

Kind = Literal["input", "transient", "bug"]
#: characters of an error's text: what a file says of itself can be megabytes
MAX_TEXT = 10_000


def _shown(text: str) -> str:
    if len(text) > MAX_TEXT:
        # what is cut already stays as it is
        text = f"{text[: MAX_TEXT // 2]}… ({len(text)} characters)"
    shown = printable_list(text)
    return shown if len(shown) <= MAX_TEXT else f"{shown[: MAX_TEXT - 1]}…"


class SpacerError(Exception):
    """Base of all errors of this package. Catch it to catch them all.

    Its text is of letters that can be printed, and not long, whatever it cites. It is one line, but
    for a list of problems, whose lines are indented.
    """

    kind: Kind = "bug"

    def __init__(self, *args: object) -> None:
        super().__init__(*(_shown(each) if isinstance(each, str) else each for each in args))


class InputError(SpacerError):
    """What was given cannot be worked with. The text says which part, and what was expected."""

    kind: Kind = "input"


class TransientError(SpacerError):
    """Storage or network failed in a way that passes. Tasks retry; a script should try again."""

    kind: Kind = "transient"


# --- what the operator set -------------------------------------------------------------------


class ConfigError(InputError):
    """A setting is unknown, malformed or missing, or an installed package's extractor or trainer
    does not work. The text names it; for settings see `spacer-tasks config`.
    """


# --- messages --------------------------------------------------------------------------------


class MessageError(InputError):
    """A task's message has an unknown, missing or malformed field. The text names the field."""


class UnknownExtractorError(MessageError):
    """The message names an extractor that is not registered on this worker."""


class UnknownTrainerError(MessageError):
    """The message names a trainer that is not registered on this worker."""


# --- storage ---------------------------------------------------------------------------------


class StorageError(InputError):
    """A location cannot be read or written, and trying again cannot help."""

    #: the `DataLocation`, where it is known
    location: object = None


class ObjectNotFoundError(StorageError):
    """No object, file or page at this location."""


class S3ObjectNotFoundError(ObjectNotFoundError):
    """No object of this key in the bucket."""


class URLNotFoundError(ObjectNotFoundError):
    """A URL's server says that there is no such page (any more)."""


class AnswerDamagedError(StorageError):
    """What lies where an answer should be is none, or not one that can be read here."""


class BucketNotFoundError(StorageError):
    """No bucket of this name at this endpoint."""


class StorageAccessError(StorageError):
    """The storage refuses access: wrong credentials or missing rights."""


class LocationNotAllowedError(StorageError):
    """A location that this process may not use: its operator decides, see docs/security.md."""


class URLNotAllowedError(LocationNotAllowedError):
    """A URL whose host this process may not use, or which leads to no address of the internet."""


class URLDownloadError(StorageError):
    """A URL is malformed, answers with an error of its own, or sends more than the limit."""


class StorageUnavailableError(TransientError):
    """The storage did not answer, broke off, or asked to come back later."""

    #: the `DataLocation`, where it is known
    location: object = None


class URLUnavailableError(StorageUnavailableError):
    """A URL's server did not answer in time, broke off, or answered with a server error."""


class BrokerUnavailableError(TransientError):
    """Redis cannot be reached, so the task was not sent."""


# --- GPU -------------------------------------------------------------------------------------


class DeviceLostError(TransientError):
    """The GPU does not answer this process any more: a worker ends, and its tasks go to others.

    A script must be started again.
    """


# --- SQS -------------------------------------------------------------------------------------


class SQSError(InputError):
    """An SQS queue does not exist, or SQS refuses what is asked of it."""


class SQSUnavailableError(TransientError):
    """SQS did not answer, or asked to come back later."""


# --- jobs ------------------------------------------------------------------------------------


class JobLostError(TransientError):
    """A job is in no queue, at no worker and without an answer: Redis lost it. Send it again."""


class AnswerExpiredError(TransientError):
    """A job finished, but its answer is gone from the results prefix. Send it again."""


class TaskCancelledError(InputError):
    """A caller cancelled the task, or the batch that it is a part of."""


# --- tasks that a worker did not get to answer ------------------------------------------------


class TaskAbandonedError(SpacerError):
    """The task was begun several times and each time its worker ended: it was given up.

    It is kept; `spacer-tasks dead` shows it and sends it again.
    """


class ResultRefusedError(SpacerError):
    """What Redis has of a task is not its own, or not signed: somebody else may have written it.

    The text says which. The answer under the results prefix is what counts.
    """


class RunningElsewhere(SpacerError):  # noqa: N818 -- a finding; no caller meets it
    """Another worker runs the task, or took it over. The text says which."""


class TaskTimeoutError(SpacerError):
    """The task took longer than its worker's time limit and was ended."""


# --- images and points -----------------------------------------------------------------------


class ImageError(InputError):
    """The file is no image that can be read, or it is cut short."""


class DataLimitError(InputError):
    """More than a limit allows: pixels of an image, points, bytes. The text names the limit."""


class RowColumnInvalidError(InputError):
    """A point is not a pair of integers inside the image."""


class RowColumnMismatchError(InputError):
    """A labelled point is not among the points of the feature file."""


class RowColumnMissingError(InputError):
    """An old feature file without rows and columns, where points must be looked up."""


class PointsFileError(InputError):
    """A CSV of points or labels cannot be used. The text names the line and the column."""


# --- extractors, features, classifiers -------------------------------------------------------


class HashMismatchError(InputError):
    """An extractor's file does not have the SHA-256 that the message states."""


class WeightsError(InputError):
    """An extractor's file is not of its format, or not of this network. The text names the part."""


class FeaturesNotFiniteError(InputError):
    """A network gave infinities or NaN, in float32 too if it computes in 16 bits.

    Nothing is stored. The text names the first point; other weights may do better.
    """


class FeatureFileError(InputError):
    """A feature file is damaged or of no known format."""


class FeatureDimensionError(InputError):
    """Features have another number of dimensions than the classifier or training expects."""


class ClassifierFileError(InputError):
    """A classifier file is damaged or of no known format."""


class TrainingLabelsError(InputError):
    """The labels cannot be trained on: too few, one class only, or an empty set."""


# --- workflows -------------------------------------------------------------------------------


class TooManyFailuresError(InputError):
    """More parts of a batch failed than the caller allows. The text lists the first reasons."""
