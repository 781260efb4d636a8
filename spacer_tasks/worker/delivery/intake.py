"""Why this worker takes no messages for now, if there is a reason.

Its connection stays, it answers `inspect`, and what it has in hand goes on. Its health says why
(`lifecycle.spacer_health`), so that a supervisor or a person sees it.
"""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)

#: by what closed it; the first is told
_CLOSED: dict[str, str] = {}


def close(cause: str, why: str) -> None:
    """Take nothing until this cause is gone. `why` is told once, until it is another."""
    if _CLOSED.get(cause) != why:
        logger.critical("this worker takes no tasks: %s", why)
    _CLOSED[cause] = why


def open_again(cause: str) -> None:
    """This cause is gone."""
    if _CLOSED.pop(cause, None) is not None and not _CLOSED:
        logger.warning("this worker takes tasks again")


def closed() -> str | None:
    """Why nothing is taken, or None."""
    return next(iter(tuple(_CLOSED.values())), None)
