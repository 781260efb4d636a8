"""A broker in this process: what is sent waits in a list, and nothing is connected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kombu import Connection
from kombu.transport import memory, virtual

from spacer_tasks.execution.payload import unpacked


@dataclass(frozen=True, eq=False)
class SentTask:
    """One task that was sent.

    Attributes
    ----------
    task_id
        As the `AsyncResult` of the sender has it.
    name
        Of the task, as `spacer_tasks.extract_features`.
    message
        The message as JSON data, also where it went by location; of a callback, its first argument.
    queue
        Where it was sent.
    priority
        The lower goes first.
    delivery
        What a worker is given.
    """

    task_id: str
    name: str
    message: Any
    queue: str
    priority: int
    delivery: virtual.Message = field(repr=False)


class Wire:
    """What one queue in this process was sent, and what of it waits, both in order."""

    def __init__(self) -> None:
        self.sent: list[SentTask] = []
        self.waiting: list[SentTask] = []

    def put(self, task: SentTask) -> None:
        """Take a task that is sent."""
        self.sent.append(task)
        self.waiting.append(task)

    def in_order(self) -> list[SentTask]:
        """What waits, in the order in which workers take it."""
        return sorted(self.waiting, key=lambda task: task.priority)


class Channel(memory.Channel):
    """Puts every message on the wire that is in use. Nobody consumes from it."""

    #: one at a time, because this package's application has one broker
    wire: Wire | None = None

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        if self.wire is None:
            raise RuntimeError("sent to a queue in this process whose block was left")
        delivery = virtual.Message(message, channel=self)
        args, _, _ = delivery.payload
        first = args[0] if args else None
        self.wire.put(
            SentTask(
                task_id=delivery.headers["id"],
                name=delivery.headers["task"],
                message=unpacked(first) if isinstance(first, dict) else first,
                queue=queue,
                priority=int(delivery.properties.get("priority") or 0),
                delivery=delivery,
            )
        )

    def _put_fanout(self, exchange: str, message: dict[str, Any], *_: Any, **__: Any) -> None:
        """Events and remote control, which nobody listens to."""


class Transport(memory.Transport):
    """Kombu's in-memory transport with the channel above."""

    Channel = Channel
    global_state = virtual.BrokerState()


def connection(*_: Any, **__: Any) -> Connection:
    """A connection to it, whatever a caller asks for."""
    return Connection(transport=Transport)
