"""A program on a host whose clock is another: `python -m tests.support.network.own_clock MODULE …`.

It runs under libfaketime (`Host.environment`), which leaves the monotonic clock alone, since waits
for locks and events need it. But then libfaketime 0.9.10 answers each `time.sleep` with EINVAL:
Python sleeps until a moment, and for that it takes the moment for one of the other clock. So here
`time.sleep` waits in another way.
"""

from __future__ import annotations

import runpy
import select
import sys
import time
from typing import SupportsFloat, SupportsIndex


def _sleep(seconds: SupportsFloat | SupportsIndex) -> None:
    select.select((), (), (), float(seconds))


if __name__ == "__main__":
    time.sleep = _sleep
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
