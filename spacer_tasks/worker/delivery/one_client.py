"""One client of Redis for each channel.

Kombu (5.7) makes one for each message, acknowledgement and event. redis-py's takes longer to make
than its command to send: a sixth of the time in which a feature worker held the interpreter's lock
(`python -m benchmarks.lock`).
"""

from __future__ import annotations

from typing import Any


class OneClient:
    """How a channel comes to the client for what it does not wait for."""

    #: of the pool that it was made for: a channel that connects again has another
    _client_kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        inherited: Any = super()
        if asynchronous:
            return inherited._create_client(asynchronous=True)
        kept = self._client_kept
        # a client has no state but its pool, from which each command takes a connection
        if kept is None or kept.connection_pool is not self.pool:  # type: ignore[attr-defined]
            kept = self._client_kept = inherited._create_client()
        return kept
