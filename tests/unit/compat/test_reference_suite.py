"""What runs the reference's own tests: how they are read, and that each exception is documented."""

from __future__ import annotations

import re

import pytest

from tests.reference_suite.listed import REASONS, reason_of
from tests.reference_suite.pages import source_of
from tests.support.checkout import CHECKOUT

#: as coverage.py writes it: numbers, text in coloured parts, an empty line, what was run
PAGE = """<html><head><title>Coverage for tests/test_one.py: 97%</title></head><body>
<p class="run"><span class="n"><a id="t1" href="#t1">1</a></span><span class="t"><span class="key">\
import</span> <span class="nam">os</span>&nbsp;</span><span class="r"></span></p>
<p class="pln"><span class="n"><a id="t2" href="#t2">2</a></span><span class="t">&nbsp;</span>\
<span class="r"></span></p>
<p class="mis show_mis"><span class="n"><a id="t3" href="#t3">3</a></span><span class="t">    \
<span class="key">if</span> <span class="nam">a</span> <span class="op">&lt;</span> \
<span class="str">'&amp;'</span><span class="op">:</span>&nbsp;</span><span class="r">\
<span class="annotate short">not run</span></span></p>
</body></html>"""


def test_a_page_of_coverage_gives_the_file_it_shows() -> None:
    assert source_of(PAGE) == ("tests/test_one.py", "import os\n\n    if a < '&':\n")


def test_another_page_is_refused() -> None:
    with pytest.raises(ValueError, match=r"coverage\.py"):
        source_of("<html><title>404</title></html>")


def test_a_listed_test_has_its_reason_and_others_have_none() -> None:
    assert reason_of("test_storage.py::TestURLStorage::test_timeout_read")
    assert reason_of("test_storage.py::TestURLStorage::test_load") is None
    assert reason_of("test_storage.py") is None


def test_the_page_for_pyspacer_s_users_has_each_exception() -> None:
    page = (CHECKOUT / "docs" / "from-pyspacer.md").read_text(encoding="utf-8")
    listed = page[page.index("## The reference's own tests") :]
    for start in REASONS:
        module, _, rest = start.partition(".py")
        row = next(
            line for line in listed.splitlines() if f"| `{module}" in line and _near(rest, line)
        )
        assert len(row.split("|")) == 5


def _near(rest: str, row: str) -> bool:
    """Whether a row is about a test's class, where it names one."""
    classes = re.findall(r"Test\w+", rest)
    return not classes or classes[0] in row
