"""Texts of others, fit to print: on one line, and without what only some may know."""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata

#: before each of several problems
LISTED = "\n  "


#: where a URL's query or fragment begins; both may be signatures or tokens
_SIGNED = re.compile(r"[?#]")
#: whatever somebody took for a scheme
_SCHEME = re.compile(r"([a-z][\w+.-]*:(?=[\\/]))?[\\/]*", re.IGNORECASE)


def shown_url(url: str) -> str:
    """A URL for errors and logs: no name or password, and no query or fragment, which may be a
    signature.

    Its hash is in its place, since images may differ in nothing else.
    """
    begins = _SIGNED.search(url)
    address, rest = (url[: begins.start()], url[begins.end() :]) if begins else (url, "")
    shown = re.sub(r"//[^/?#]*@", "//***@", address, count=1)
    if not begins or not rest:
        return shown
    digest = hashlib.sha256(rest.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{shown}{begins[0]}…{digest}"


def without_login(text: str) -> str:
    """What somebody set, perhaps as a URL with a mistake in it, without a login in it."""
    scheme = text[: _SCHEME.match(text).end()]  # type: ignore[union-attr]  # it can be empty
    # a password may have any letter in it
    login, _, rest = text[len(scheme) :].rpartition("@")
    if ":" in login:
        text = f"{scheme}***@{rest}"
    return shown_url(text) if "://" in text else text


def printable(text: str) -> str:
    """The text on one line: what ends lines or moves a terminal's cursor stands as an escape.

    A key or a file's name can hold it, and would forge lines of a log. Spaces of all widths stay.
    """
    if text.isprintable():
        return text
    return "".join(
        letter
        if letter.isprintable() or unicodedata.category(letter) == "Zs"
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


def printable_list(text: str) -> str:
    """The same of a list, whose lines are indented: such a line begins no line of a log."""
    return LISTED.join(map(printable, text.split(LISTED)))


class OneLine(logging.LogRecord):
    """What is logged, its message of letters that can be printed. A traceback's lines stay.

    Messages name tasks, queues and keys, and other libraries log them as they are.
    """

    def getMessage(self) -> str:  # noqa: N802 -- logging's own name
        """The message with its arguments."""
        return printable_list(super().getMessage())


def log_one_line_each() -> None:
    """Log so from now on, in this process and in those that it forks: workers and mailmen."""
    logging.setLogRecordFactory(OneLine)
