"""Exit 0 if this container's worker answers through the broker: the images' health check.

The answer comes from the worker's own loop, over the connection that brings its tasks; a process
that runs but lost its connection does not answer.
"""

from __future__ import annotations

import socket
import sys

from spacer_tasks.app import app

#: seconds; below the health check's own limit, so that the reason is seen
TIMEOUT_S = 10


def main() -> None:
    """Ping the worker by the name of this host, whatever its pool."""
    name = f"*@{socket.gethostname()}"
    # with a limit, the first answer ends the wait
    if not app.control.ping(pattern=name, matcher="glob", timeout=TIMEOUT_S, limit=1):
        sys.exit(f"no worker {name} answered within {TIMEOUT_S} s")


if __name__ == "__main__":
    main()
