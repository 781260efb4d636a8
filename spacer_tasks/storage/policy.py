"""Which locations this process may use: a message names them, the operator decides.

Nothing is limited where the operator set nothing, as on a laptop. What a process of ours names
itself, the results prefix, is always allowed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from spacer_tasks.config.location_lists import RESULTS
from spacer_tasks.config.settings import Settings, get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import LocationNotAllowedError
from spacer_tasks.storage.addresses import checked_url

#: an entry for every bucket
_ANY_BUCKET = "s3://*"


def permitted(loc: DataLocation) -> DataLocation:
    """The location, if this process may use it. A file's has its links and `..` resolved.

    Raises
    ------
    LocationNotAllowedError
        The operator has not allowed it; the text names the setting, and nothing is told of
        whether there is an object.
    URLDownloadError
        It is no http or https URL.
    """
    settings = get_settings()
    if loc.storage_type == "s3":
        if settings.allowed_s3 is not None and not _is_allowed_on_s3(loc, settings):
            raise _refusal(loc, "SPACER_ALLOWED_S3")
    elif loc.storage_type == "filesystem":
        if settings.allowed_roots is not None:
            return _below_a_root(loc, settings)
    elif loc.storage_type == "url":
        checked_url(loc.key)
    elif settings.allowed_roots is not None and not _is_own_result(loc, settings):
        raise _refusal(loc, "SPACER_ALLOWED_ROOTS")
    return loc


def permit_all(message: BaseModel) -> None:
    """Look at every location in a message before any work is done. Raises as `permitted`.

    Each is looked at again when it is used: by then a link may lead elsewhere, or a name mean
    another host.
    """
    settings = get_settings()
    if settings.allowed_s3 is settings.allowed_roots is settings.allowed_urls is None:
        return
    for loc in locations_in(message):
        permitted(loc)


def locations_in(value: Any) -> Iterator[DataLocation]:
    """The locations in a message, also those that are keys of labels."""
    if isinstance(value, DataLocation):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from locations_in(getattr(value, name))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from locations_in(key)
            # of labels only the keys are locations, and there may be a million labels
            if not isinstance(key, DataLocation):
                yield from locations_in(item)
    # points are many, and are no locations
    elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
        for item in value:
            yield from locations_in(item)


def _is_own_result(loc: DataLocation, settings: Settings) -> bool:
    own = DataLocation.parse(settings.results_prefix) if settings.results_prefix else None
    return own is not None and own.storage_type == "memory" and loc.key.startswith(f"{own.key}/")


def _is_allowed_on_s3(loc: DataLocation, settings: Settings) -> bool:
    own = settings.results_prefix
    prefixes = [own] if own is not None and own.startswith("s3://") else []
    for entry in settings.allowed_s3 or ():
        if entry == _ANY_BUCKET:
            return True
        if entry != RESULTS:
            prefixes.append(entry)
        elif prefixes and own is not None:
            prefixes.append(f"s3://{own.removeprefix('s3://').partition('/')[0]}")
    # S3 takes dots as they are, but a server that keeps objects as files may not
    if {".", ".."} & set(loc.key.split("/")):
        return False
    return any(_is_below(loc, prefix) for prefix in prefixes)


def _is_below(loc: DataLocation, prefix: str) -> bool:
    bucket, _, key = prefix.removeprefix("s3://").partition("/")
    key = key.rstrip("/")
    return loc.bucket_name == bucket and (
        not key or loc.key == key or loc.key.startswith(f"{key}/")
    )


def _below_a_root(loc: DataLocation, settings: Settings) -> DataLocation:
    roots = [root for root in settings.allowed_roots or () if root.startswith("/")]
    own = settings.results_prefix
    if own is not None:
        place = DataLocation.parse(own)
        if place.storage_type == "filesystem":
            roots.append(place.key)
    try:
        path = os.path.realpath(loc.key)
    except (OSError, ValueError):
        raise _refusal(loc, "SPACER_ALLOWED_ROOTS") from None
    for root in map(os.path.realpath, roots):
        if path == root or path.startswith(root.rstrip("/") + "/"):
            return loc.model_copy(update={"key": path})
    raise _refusal(loc, "SPACER_ALLOWED_ROOTS")


def _refusal(loc: DataLocation, setting: str) -> LocationNotAllowedError:
    return LocationNotAllowedError(
        f"{loc}: not among the locations that may be used here; who runs this"
        f" can allow it by {setting}"
    )
