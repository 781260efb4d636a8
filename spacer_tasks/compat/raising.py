"""From this project's errors to what the reference raises in the same case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spacer_tasks import exceptions
from spacer_tasks.compat.exceptions import URLDownloadError
from spacer_tasks.exceptions import (
    ImageError,
    StorageError,
    StorageUnavailableError,
    URLNotAllowedError,
    URLNotFoundError,
    URLUnavailableError,
)

_DOWNLOAD = (
    exceptions.URLDownloadError,
    URLNotAllowedError,
    URLNotFoundError,
    URLUnavailableError,
)


@contextmanager
def as_the_reference() -> Iterator[None]:
    """Raise what the reference raises: errors of the file system, of botocore and of Pillow, and
    `URLDownloadError`. An error of ours that comes from none of these stays.
    """
    try:
        yield
    except URLDownloadError:
        raise
    except _DOWNLOAD as error:
        raise URLDownloadError(str(error), error.__cause__ or error) from error
    except (StorageError, StorageUnavailableError) as error:
        if isinstance(error.__cause__, Exception):
            raise error.__cause__ from error
        raise
    except ImageError as error:
        from PIL import UnidentifiedImageError

        raise UnidentifiedImageError(str(error)) from error
