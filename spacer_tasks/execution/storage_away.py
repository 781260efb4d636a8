"""Whose fault it is that a task's storage failed: the task's, or an outage that it met.

An outage costs a task nothing: its worker gives it back, without a try counted, and takes no more
until the storage answers (`worker/storage_watch.py`). So does a worker that is refused where
answers are kept, whatever the task: its credentials are wrong, or the bucket is gone.
"""

from __future__ import annotations

from spacer_tasks import results
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import (
    ConfigError,
    InputError,
    SpacerError,
    StorageError,
    StorageUnavailableError,
    URLUnavailableError,
)
from spacer_tasks.storage.probe import probe_answering, probe_writing


class StorageAway(Exception):  # noqa: N818 -- a finding, which no caller meets
    """What a task that is given back carries from the pool's process to the worker's.

    Parameters
    ----------
    why
        What failed, for the log and the worker's health.
    uri
        The place that does not answer; empty for the results prefix.
    """

    def __init__(self, why: str, uri: str = "") -> None:
        super().__init__(why, uri)
        self.why, self.uri = why, uri

    def __str__(self) -> str:
        return self.why


def found_away(error: SpacerError) -> StorageAway | None:
    """Whether what a task failed of is an outage, or this worker's own lack of access: the places
    are asked again. None where they answer, so that it is the task's.
    """
    if not isinstance(error, StorageError | StorageUnavailableError):
        return None
    # a server somewhere on the internet; its outage is of this one task
    if isinstance(error, URLUnavailableError):
        return None
    if why := results_fault():
        return StorageAway(why)
    place = error.location
    if isinstance(error, StorageUnavailableError) and isinstance(place, DataLocation):
        if place.storage_type == "url":
            return None
        if why := place_fault(place):
            return StorageAway(why, place.uri)
    return None


def check_results_prefix() -> None:
    """See, before work begins, that answers can be kept: write, read and remove a probe.

    Raises
    ------
    ConfigError
        It is refused: wrong credentials, no such bucket, a folder that cannot be written, no
        location at all.
    StorageUnavailableError
        It does not answer, which may pass.
    """
    try:
        prefix = results.results_location()
    except ValueError as error:
        raise ConfigError(
            f"SPACER_RESULTS_PREFIX is {get_settings().results_prefix!r}, expected"
            " s3://bucket/prefix or a folder"
        ) from error
    try:
        probe_writing(prefix)
    except StorageError as error:
        raise ConfigError(
            f"SPACER_RESULTS_PREFIX: answers cannot be kept there: {error}"
        ) from error


def results_fault() -> str | None:
    """Why no answer can be kept under the results prefix now; None where it can."""
    try:
        probe_writing(results.results_location())
    except (InputError, StorageUnavailableError, ValueError) as error:
        return f"answers cannot be kept under the results prefix: {error}"
    return None


def place_fault(place: DataLocation) -> str | None:
    """Why a place of a task's does not answer now; None where it does, or refuses."""
    try:
        probe_answering(place)
    except StorageUnavailableError as error:
        return f"the storage of a task does not answer: {error}"
    return None
