"""Exit 0 if this container's worker answers through the broker: the images' health check.

The answer comes from the worker's own loop, and says how long ago it last asked for tasks: a
process that runs but lost its connection does not answer, or asked long ago. It ends itself after
SPACER_STUCK_AFTER_S. And it says why, where it takes no tasks at all.
"""

from __future__ import annotations

import socket
import sys

from spacer_tasks.app import app
from spacer_tasks.config.settings import get_settings

#: seconds; below the health check's own limit, so that the reason is seen
TIMEOUT_S = 10


def main() -> None:
    """Ask the worker by the name of this host, whatever its pool."""
    name = f"*@{socket.gethostname()}"
    # with a limit, the first answer ends the wait
    answers = app.control.broadcast(
        "spacer_health",
        reply=True,
        pattern=name,
        matcher="glob",  # type: ignore[arg-type]  # the name of a function that workers know
        timeout=TIMEOUT_S,
        limit=1,
    )
    if not answers:
        sys.exit(f"no worker {name} answered within {TIMEOUT_S} s")
    for answer in answers:
        for worker, health in answer.items():
            # of a worker of an older version there is no such word
            if why := health.get("takes_nothing"):
                sys.exit(f"{worker} takes no tasks: {why}")
            if health["silent_s"] > get_settings().stuck_after_s / 2:
                sys.exit(f"{worker} has not asked for tasks for {health['silent_s']:.0f} s")


if __name__ == "__main__":
    main()
