"""Redis commands by their words, for those that have no typed method of their own."""

from __future__ import annotations

from typing import Any

from redis import Redis


def execute(client: Redis, *command: Any) -> Any:
    """What the server answers to the command."""
    # redis-py leaves this method without types
    untyped: Any = client
    return untyped.execute_command(*command)
