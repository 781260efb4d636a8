"""The operator's lists of places that messages may name, as they are written in settings.

A list is text with blanks or commas between, a JSON list, or a list in Django's settings. What the
entries allow is decided in `storage/policy.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from spacer_tasks.printable import without_login

#: the only entry of a list that allows nothing
NONE = "none"
#: the bucket of SPACER_RESULTS_PREFIX
RESULTS = "results"
#: every host on the internet, as where no list is set
PUBLIC = "public"
#: a bucket, and a prefix below which keys are allowed
_S3 = re.compile(r"s3://[^/\s]+(/\S*)?|s3://\*")
#: a host and perhaps a port; an IPv6 address is in brackets where it has a port
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s/:@\[\]]+)(:[0-9]{1,5})?|[0-9a-f:.]+:[0-9a-f:.]+")


def listed(value: Any) -> Any:
    """The entries of a list that may be written as text."""
    if not isinstance(value, str):
        return value
    # an IPv6 address begins with a bracket too
    if re.match(r'\s*\[\s*["\]]', value):
        return json.loads(value)
    return [entry for entry in re.split(r"[\s,]+", value) if entry]


def _each(is_one: Callable[[str], object], words: set[str], expected: str) -> AfterValidator:
    def check(entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if entry in words:
                continue
            if entry == NONE:
                if len(entries) > 1:
                    raise ValueError(f"'{NONE}' stands beside other entries, expected it alone")
            elif not is_one(entry):
                found = without_login(entry)[:80]
                raise ValueError(f"found {found!r}, expected {expected}, or '{NONE}'")
        return entries

    return AfterValidator(check)


def _lower(entries: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(entry.lower() for entry in entries)


_Entries = Annotated[tuple[str, ...], BeforeValidator(listed)]
S3List = Annotated[
    _Entries, _each(_S3.fullmatch, {RESULTS}, f"s3://bucket[/prefix], s3://*, '{RESULTS}'")
]
RootList = Annotated[
    _Entries, _each(lambda entry: PurePosixPath(entry).is_absolute(), set(), "an absolute path")
]
HostList = Annotated[
    _Entries,
    AfterValidator(_lower),
    _each(_HOST.fullmatch, {PUBLIC}, f"host[:port], '{PUBLIC}'"),
]
