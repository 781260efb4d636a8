"""The tables of docs/benchmarks.md are what the benchmarks print, but for the figures."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.support.checkout import CHECKOUT

PAGE = (CHECKOUT / "docs" / "benchmarks.md").read_text()
#: of one measurement; the page's are a thousand
TASKS = 20


def test_the_queue_s_own_cost_can_be_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.overhead", f"--tasks={TASKS}", "--repeats=1"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.replace(f"of {TASKS} tasks", "of 1,000 tasks")
    heading = printed.splitlines()[0]
    section = PAGE.partition(f"{heading}\n")[2].partition("\n## ")[0]
    rows = _whats(printed)
    assert len(rows) == 7
    assert rows == _whats(section)


def _whats(text: str) -> list[str]:
    """What each row of a table is of."""
    return re.findall(r"^\| ?([^|]+?) ?\|", text, re.MULTILINE)
