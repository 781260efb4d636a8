"""The names of images as sheets have them: file names, paths of any system, and addresses."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
DRIVE = re.compile(r"[A-Za-z]:")


def relative_name(text: str) -> tuple[str | None, bool]:
    """A name as a relative path with `/`, and whether its upper folders are another machine's.

    None is returned for what names no file.
    """
    value = text.strip().replace("\\", "/")
    address = ADDRESS.match(value)
    if address:
        # a signature behind a question mark is no part of the name
        value = re.split(r"[?#]", value[address.end() :])[0]
    foreign = bool(address)
    if DRIVE.match(value):
        # `C:A.jpg` is a file of that drive's own folder
        value, foreign = value if value[2:3] == "/" else value[2:], True
    folders = value.split("/")
    parts = [part for part in folders if part not in ("", ".", "..", "~")]
    if not parts or value.endswith("/") or "\0" in value or "\n" in value:
        return None, False
    foreign = foreign or value.startswith(("/", "~/")) or ".." in folders
    return "/".join(parts), foreign
