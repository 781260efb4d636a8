"""Which locations this process may use: a message names them, the operator decides.

Nothing is limited where the operator set nothing, as on a laptop. What a process of ours names
itself, the results prefix, is always allowed.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel

from spacer_tasks.config.location_lists import RESULTS
from spacer_tasks.config.settings import Settings, get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import LocationNotAllowedError
from spacer_tasks.storage.addresses import checked_url
from spacer_tasks.storage.filesystem import file_errors

#: an entry for every bucket
_ANY_BUCKET = "s3://*"
#: what this package keeps under the results prefix
OWN_FOLDERS = ("answers", "messages", "checkpoints", "batches", "returns", "dead_letters", "probes")
#: devices, processes and the kernel's own
SYSTEM = ("/dev", "/proc", "/sys")


def permitted(loc: DataLocation, *, to_write: bool = False) -> DataLocation:
    """The location, if this process may use it. A file's has its links and `..` resolved.

    Parameters
    ----------
    to_write
        Whether something will be stored there, for which the operator can set other lists.

    Raises
    ------
    LocationNotAllowedError
        The operator has not allowed it; the text names the setting, and nothing is told of
        whether there is an object.
    URLDownloadError
        It is no http or https URL.
    """
    settings = get_settings()
    buckets, roots = settings.allowed_s3, settings.allowed_roots
    s3_setting, roots_setting = "SPACER_ALLOWED_S3", "SPACER_ALLOWED_ROOTS"
    if to_write and settings.allowed_write_s3 is not None:
        buckets, s3_setting = settings.allowed_write_s3, "SPACER_ALLOWED_WRITE_S3"
    if to_write and settings.allowed_write_roots is not None:
        roots, roots_setting = settings.allowed_write_roots, "SPACER_ALLOWED_WRITE_ROOTS"
    if loc.storage_type == "s3":
        if buckets is not None and not _is_allowed_on_s3(loc, buckets, settings):
            raise _refusal(loc, s3_setting)
    elif loc.storage_type == "filesystem":
        _not_of_the_system(loc)
        if roots is not None:
            return _below_a_root(loc, roots, settings, roots_setting)
    elif loc.storage_type == "url":
        checked_url(loc.key)
    elif roots is not None and not _is_own_result(loc, settings):
        raise _refusal(loc, roots_setting)
    return loc


def permit_all(message: BaseModel) -> None:
    """Look at every location in a message before any work is done. Raises as `permitted`.

    Each is looked at again when it is used: by then a link may lead elsewhere, or a name mean
    another host. What a message has written lies neither where this package keeps its own, nor
    where anything lies that the same task reads.
    """
    outputs = list(outputs_of(message))
    for loc in outputs:
        _not_our_own(permitted(loc, to_write=True))
    places = {_place(loc): loc for loc in outputs}
    # a message's own outputs are among its locations; what is left over is read
    left_over = Counter(map(_place, locations_in(message)))
    left_over.subtract(map(_place, _fields_written(message)))
    for place, loc in places.items():
        if left_over[place] > 0:
            raise LocationNotAllowedError(
                f"{loc}: the same task reads it, expected another place for what it writes"
            )
    settings = get_settings()
    if settings.allowed_s3 is settings.allowed_roots is settings.allowed_urls is None:
        # what is on this machine's own file systems is looked at in any case
        for loc in locations_in(message):
            if loc.storage_type == "filesystem":
                _not_of_the_system(loc)
        return
    written = Counter(_fields_written(message))
    for loc in locations_in(message):
        if written[loc] > 0:
            written[loc] -= 1
        else:
            permitted(loc)


def outputs_of(message: Any) -> Iterator[DataLocation]:
    """Where a message has something written, also beside the locations that it names."""
    for part in _parts(message):
        for name in getattr(type(part), "written", ()):
            loc = getattr(part, name)
            if loc is not None:
                yield loc


def _fields_written(message: Any) -> Iterator[DataLocation]:
    """Those of `outputs_of` that stand in the message."""
    for part in _parts(message):
        for name in getattr(type(part), "written", ()):
            loc = getattr(part, name)
            if loc is not None and name in type(part).model_fields:
                yield loc


def _parts(value: Any) -> Iterator[BaseModel]:
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from _parts(getattr(value, name))
    elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
        for item in value:
            yield from _parts(item)


def _place(loc: DataLocation) -> tuple[str, ...]:
    if loc.storage_type == "filesystem":
        with file_errors(loc.key):
            return ("filesystem", os.path.realpath(loc.key))
    # one that keeps objects as files takes a//./b for a/b
    parts = [part for part in loc.key.split("/") if part not in ("", ".")]
    return (loc.storage_type, loc.bucket_name or "", "/".join(parts))


def _spelled_plainly(key: str) -> str:
    """A key as a server or file system may take it that keeps objects as files: without empty parts
    and dots, decoded, in small letters.
    """
    text = unicodedata.normalize("NFKC", unquote(unquote(key))).replace("\\", "/").casefold()
    text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    parts: list[str] = []
    for part in text.split("/"):
        if part.strip(" .") or part == "..":
            parts = parts[:-1] if part == ".." else [*parts, part.rstrip(" .")]
    return "/".join(parts)


def _not_our_own(loc: DataLocation) -> None:
    """Refuse what this package keeps under the results prefix: answers, messages, batches."""
    prefix = get_settings().results_prefix
    if not prefix:
        return
    own = DataLocation.parse(prefix)
    for folder in OWN_FOLDERS:
        place, wanted = _place(own.joined(folder)), _place(loc)
        ours, theirs = (f"{_spelled_plainly(each[-1])}/" for each in (place, wanted))
        if wanted[:-1] == place[:-1] and theirs.startswith(ours):
            raise LocationNotAllowedError(
                f"{loc}: {folder}/ under SPACER_RESULTS_PREFIX takes nothing from messages;"
                " expected another place"
            )


def _not_of_the_system(loc: DataLocation) -> None:
    """Refuse devices and what the kernel shows as files: they have no size, or no end."""
    try:
        path = os.path.realpath(loc.key)
    except (OSError, ValueError):
        # said by the storage, which names the file
        return
    if any(f"{path}/".startswith(f"{root}/") for root in SYSTEM):
        raise LocationNotAllowedError(
            f"{loc}: {', '.join(SYSTEM)} are not storage; expected a file elsewhere"
        )


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


def _is_allowed_on_s3(loc: DataLocation, allowed: tuple[str, ...], settings: Settings) -> bool:
    own = settings.results_prefix
    prefixes = [own] if own is not None and own.startswith("s3://") else []
    for entry in allowed:
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


def _below_a_root(
    loc: DataLocation, allowed: tuple[str, ...], settings: Settings, setting: str
) -> DataLocation:
    roots = [root for root in allowed if root.startswith("/")]
    own = settings.results_prefix
    if own is not None:
        place = DataLocation.parse(own)
        if place.storage_type == "filesystem":
            roots.append(place.key)
    try:
        path = os.path.realpath(loc.key)
    except (OSError, ValueError):
        raise _refusal(loc, setting) from None
    for root in map(os.path.realpath, roots):
        if path == root or path.startswith(root.rstrip("/") + "/"):
            return loc.model_copy(update={"key": path})
    raise _refusal(loc, setting)


def _refusal(loc: DataLocation, setting: str) -> LocationNotAllowedError:
    return LocationNotAllowedError(
        f"{loc}: not among the locations that may be used here; who runs this"
        f" can allow it by {setting}"
    )
