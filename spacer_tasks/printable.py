"""Texts of others, fit to print: on one line, and without what only some may know."""

from __future__ import annotations

import hashlib
import re

#: before each of several problems
LISTED = "\n  "


def shown_url(url: str) -> str:
    """A URL for errors and logs: no name or password, and no query, which may be a signature.

    The query's hash is in its place, since images may differ in nothing else.
    """
    address, _, query = url.partition("?")
    shown = re.sub(r"//[^/?#]*@", "//***@", address, count=1)
    return f"{shown}?…{hashlib.sha256(query.encode()).hexdigest()[:8]}" if query else shown


def printable(text: str) -> str:
    """The text on one line: what ends lines or moves a terminal's cursor stands as an escape.

    A key or a file's name can hold it, and would forge lines of a log.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def printable_list(text: str) -> str:
    """The same of a list, whose lines are indented: such a line begins no line of a log."""
    return LISTED.join(map(printable, text.split(LISTED)))
