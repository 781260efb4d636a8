"""A broker in this process: what is sent waits in a list, and nothing is connected."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

from kombu import Connection
from kombu.transport import memory, virtual


@dataclass(frozen=True)
class Envelope:
    """One message as Kombu published it.

    Attributes
    ----------
    number
        Counts what was sent, across all queues.
    priority
        The lower goes first.
    raw
        What a transport carries: encoded body, headers and properties.
    """

    number: int
    queue: str
    priority: int
    raw: dict[str, Any]

    @property
    def headers(self) -> dict[str, Any]:
        """Celery's: the task's name and id among them."""
        headers: dict[str, Any] = self.raw["headers"]
        return headers


#: what waits; one list, because Celery has one broker a process here
WAITING: list[Envelope] = []
_NUMBERS = count()


class Channel(memory.Channel):
    """Puts every message into `WAITING`. Nobody consumes from it."""

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        priority = message.get("properties", {}).get("priority") or 0
        WAITING.append(Envelope(next(_NUMBERS), queue, priority, message))

    def _put_fanout(self, exchange: str, message: dict[str, Any], *_: Any, **__: Any) -> None:
        """Events and remote control, which nobody listens to."""


class Transport(memory.Transport):
    """Kombu's in-memory transport with the channel above."""

    Channel = Channel
    global_state = virtual.BrokerState()


def connection(*_: Any, **__: Any) -> Connection:
    """A connection to it, whatever a caller asks for."""
    return Connection(transport=Transport)


def message_of(envelope: Envelope) -> virtual.Message:
    """The message as a consumer is given it."""
    channel: Any = connection().default_channel
    return virtual.Message(envelope.raw, channel=channel)
