"""Names in logs forge no line and move no cursor."""

from __future__ import annotations

import subprocess
import sys

FORGED = "x\n[2026-01-01 00:00:00,000: ERROR/MainProcess] forged\x1b[2J\x9b1A\u202e\r"
#: in a process of its own, for it is for good
LOG = """
import logging, sys
from spacer_tasks.log_lines import log_one_line_each
log_one_line_each()
logging.basicConfig(format="%(levelname)s %(message)s")
logging.getLogger("amqp").error("a message for %s", sys.argv[1])
try:
    raise ValueError("reef")
except ValueError:
    logging.getLogger("celery").exception("task %(name)s", {"name": sys.argv[1]})
"""


def test_a_name_forges_no_line_of_a_log() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOG, FORGED], capture_output=True, text=True, timeout=60, check=True
    )
    lines = done.stderr.splitlines()
    assert [line.split()[0] for line in lines if "forged" in line] == ["ERROR", "ERROR"]
    assert all(line.isprintable() for line in lines)
    # what the program itself has in lines of its own stays
    assert "Traceback (most recent call last):" in lines
