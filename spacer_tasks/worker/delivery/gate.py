"""The one door between Redis and Celery's worker: which messages go through, and which are refused.

What is wrong with the message itself is refused by every worker. But "signed with none of my keys",
"too old", "a task that I do not know" may be the worker's own mistake, and a wrong key or clock
must not drain a queue: after a few of these in a row, or too many among the good ones, the worker
takes no more, and says so.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from spacer_tasks.broker import signing
from spacer_tasks.broker.refused import Reason, entry_of, ref_of
from spacer_tasks.execution.connection import me
from spacer_tasks.worker.delivery import envelopes, intake

logger = logging.getLogger(__name__)

#: messages in a row that are refused for one reason that may be the worker's own mistake, after
#: which it takes no more
IN_A_ROW = 8
#: the same among the last so many messages, whatever the reasons: where two keys are in use and the
#: worker has one of them, half of a queue would be refused between good ones
OF_THE_LAST, TOO_MANY = 100, 20
#: characters of a queue's or a task's name in the log
_SHOWN = 100


@dataclass(frozen=True)
class Fault:
    """Why a message is refused."""

    reason: Reason
    why: str


class Gate:
    """One worker's judgement.

    Parameters
    ----------
    tasks
        The names of the tasks that it knows.
    signed
        Whether messages must be signed.
    refused
        Called with the task's name after each refusal, to be counted by who watches the worker.
    """

    def __init__(
        self,
        tasks: Container[str],
        *,
        signed: bool,
        refused: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._tasks, self._signed, self._refused = tasks, signed, refused
        self._last: Reason | None = None
        self._in_a_row = 0
        #: of the last messages, whether each was refused, by what may be this worker's mistake
        self._judged: deque[bool] = deque(maxlen=OF_THE_LAST)

    def read(self, raw: bytes, tag: str) -> tuple[Any, Fault | None]:
        """A message as Kombu reads it, and why it is refused, or None where it is not.

        Parameters
        ----------
        tag
            The delivery tag under which Redis recorded it.
        """
        envelope, why = envelopes.read(raw)
        if why is None and envelope["properties"]["delivery_tag"] != tag:
            why = "its delivery tag is not what Redis took it for"
        if why is not None:
            return envelope, Fault(Reason.UNREADABLE, why)
        headers = envelope["headers"]
        if headers["task"] not in self._tasks:
            name = headers["task"][:_SHOWN]
            return envelope, Fault(Reason.UNKNOWN_TASK, f"this worker knows no task {name!r}")
        fault = self._fault_of_signature(envelope, headers) if self._signed else None
        if fault is None:
            self._last = None
            self._judged.append(False)
        return envelope, fault

    def _fault_of_signature(self, envelope: Any, headers: dict[str, Any]) -> Fault | None:
        found = signing.fault_of(envelopes.body_of(envelope), headers)
        return found and Fault(*found)

    def refuse(self, raw: bytes, queue: str, fault: Fault) -> bytes:
        """What is kept of a message that is refused. Counts it, and closes the intake if these are
        too many.
        """
        name = _name_in(raw)
        logger.error(
            "a message for %s in %s is refused, not thrown away: %s. `spacer-tasks refused show %s`"
            " shows it",
            name or "no task", queue[:_SHOWN], fault.why, ref_of(raw),
        )  # fmt: skip
        self._refused(name)
        if not fault.reason.of_the_message:
            self._close_if_too_many(fault)
        return entry_of(raw, fault.reason, fault.why, queue, me(), time.time())

    def _close_if_too_many(self, fault: Fault) -> None:
        self._in_a_row = self._in_a_row + 1 if fault.reason is self._last else 1
        self._last = fault.reason
        self._judged.append(True)
        if self._in_a_row >= IN_A_ROW:
            found = f"{self._in_a_row} messages in a row were refused because {fault.why}"
        elif (refused := sum(self._judged)) >= TOO_MANY:
            found = (
                f"{refused} of the last {len(self._judged)} messages were refused, the last"
                f" because {fault.why}"
            )
        else:
            return
        intake.close(
            "refused",
            f"{found}. Its keys, its clock or its version may be wrong; start it again once they"
            " are right, and `spacer-tasks refused requeue --all` puts the messages back",
        )


def _name_in(raw: bytes) -> str:
    """The task that a message is for, as far as it can be told."""
    try:
        envelope, _ = envelopes.read(raw)
        return str(envelope["headers"]["task"])[:_SHOWN]
    except (TypeError, LookupError):
        return ""
