"""What a worker knows of those that were started beside it.

It is told in its environment. A worker that was started alone knows of none.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache

logger = logging.getLogger(__name__)

#: not a setting: whoever starts several workers sets it for each
_VARIABLE = "_SPACER_WORKERS_BESIDE"


@dataclass(frozen=True)
class Beside:
    """A worker among others.

    Attributes
    ----------
    label
        Which it is: `gpu0`, or `gpu0-1` where a card has several.
    names
        The names of all of them, this one too, as Celery has them.
    lifeline
        A file descriptor that can be read when the process that started it has ended.
    """

    label: str
    names: tuple[str, ...]
    lifeline: int

    def in_environment(self) -> Mapping[str, str]:
        """What tells it."""
        return {_VARIABLE: json.dumps(asdict(self))}


@lru_cache(maxsize=1)
def beside() -> Beside | None:
    """What this process was told; None where it is alone."""
    # its own children are no workers
    told = os.environ.pop(_VARIABLE, None)
    if told is None:
        return None
    found = json.loads(told)
    return Beside(found["label"], tuple(found["names"]), found["lifeline"])


def processes() -> int:
    """Workers that share this host's cores, this one too."""
    found = beside()
    return len(found.names) if found else 1


def end_with_supervisor() -> None:
    """From now on, end as after SIGTERM when the process that started this one is gone, even if it
    was killed.
    """
    if (found := beside()) is not None:
        os.set_inheritable(found.lifeline, False)
        threading.Thread(
            target=_wait_for_its_end, args=(found.lifeline,), name="lifeline", daemon=True
        ).start()


def _wait_for_its_end(lifeline: int) -> None:
    # nothing is ever written: it ends when the last who could has ended
    os.read(lifeline, 1)
    logger.critical("the supervisor of this worker is gone: it ends after its tasks")
    os.kill(os.getpid(), signal.SIGTERM)
