"""Exit 0 if this container's worker answers through the broker: the images' health check.

The answer comes from the worker's own loop, and says how long ago it last asked for tasks: a
process that runs but lost its connection does not answer, or asked long ago. It ends itself after
SPACER_STUCK_AFTER_S. And it says why, where it takes no tasks at all. Of several workers that were
started together (`--gpus`) each must answer.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from spacer_tasks.app import app
from spacer_tasks.config.settings import get_settings

#: seconds; all below the health check's own limit, so that the reason is seen
TIMEOUT_S = 10
#: seconds for those that were started together with one that has answered
TOGETHER_S = 5


def main() -> None:
    """Ask the worker by the name of this host, whatever its pool."""
    name = f"*@{socket.gethostname()}"
    # with a limit, the first answer ends the wait
    answers = _ask(TIMEOUT_S, 1, pattern=name, matcher="glob")
    if not answers:
        sys.exit(f"no worker {name} answered within {TIMEOUT_S} s")
    # of a worker of an older version there are no such words
    together = next(iter(answers.values())).get("together")
    if together:
        answers = _ask(TOGETHER_S, len(together), destination=together)
        if missing := sorted(set(together) - set(answers)):
            sys.exit(
                f"{', '.join(missing)} did not answer within {TOGETHER_S} s, of"
                f" {len(together)} started together"
            )
    for worker, health in sorted(answers.items()):
        if why := health.get("takes_nothing"):
            sys.exit(f"{worker} takes no tasks: {why}")
        if health["silent_s"] > get_settings().stuck_after_s / 2:
            sys.exit(f"{worker} has not asked for tasks for {health['silent_s']:.0f} s")


def _ask(timeout_s: float, limit: int, **whom: Any) -> dict[str, dict[str, Any]]:
    """What workers say of themselves, by their names."""
    answers = app.control.broadcast(
        "spacer_health", reply=True, timeout=timeout_s, limit=limit, **whom
    )
    return {worker: health for answer in answers or () for worker, health in answer.items()}


if __name__ == "__main__":
    main()
