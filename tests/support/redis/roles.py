"""What each user of a Redis may: every command that the server has, on every kind of key."""

from __future__ import annotations

from typing import Any

from redis import Redis

from tests.support.redis.commands import execute

#: a key of each kind
KEYS = {
    "queues": "features",
    "priorities": "training.high\x06\x169",
    "results": "celery-task-meta-1",
    "groups": "celery-taskset-meta-1.j",
    "bindings": "_kombu.binding.features",
    "replies": "1.reply.celery.pidbox",
    "reply bindings": "_kombu.binding.reply.celery.pidbox",
    "taken": "unacked.features",
    "cancelled": "spacer-cancelled-1",
    "jobs": "spacer-coralnet:records",
    "mailman": "spacer-mailman:answered:1",
    "refused": "spacer-unreadable",
    "others": "another-application",
}
#: a channel of each kind
CHANNELS = {
    "results": "celery-task-meta-1",
    "all results": "celery-task-meta-*",
    "events": "/0.celeryev/task.sent",
    "all events": "/0.celeryev/*",
    "orders": "/0.celery.pidbox",
    "others": "another-application",
    "everything": "*",
}
_OF_CHANNELS = {"publish", "subscribe", "psubscribe", "spublish", "ssubscribe"}


def allowed(root: Redis, users: list[str]) -> dict[str, dict[str, list[str]]]:
    """By user and command, on what they may use it. A command that is not there they may not use.

    Parameters
    ----------
    root
        Who may ask, of a Redis 7 or later.
    """
    found: dict[str, dict[str, list[str]]] = {user: {} for user in users}
    for name, about in sorted(_commands(root).items()):
        places = _places(name, about)
        for user in users:
            where = [place for place, words in places.items() if _may(root, user, words)]
            if where:
                found[user][name] = where
    return found


def as_text(table: dict[str, dict[str, list[str]]]) -> str:
    """A line for each user and command."""
    lines = []
    for user, commands in table.items():
        lines += [
            f"{user}: {name}" + (f" -> {', '.join(where)}" if where != [""] else "")
            for name, where in commands.items()
        ]
    return "\n".join([*lines, ""])


def _commands(root: Redis) -> dict[str, list[Any]]:
    """Each command and subcommand, with what the server says of it."""
    found = {}
    for about in _raw(root, "COMMAND"):
        name = about[0].decode()
        # since Redis 7: tips, specifications of keys, subcommands
        for sub in about[9]:
            found[sub[0].decode()] = sub
        if not about[9]:
            found[name] = about
    assert len(found) > 300
    return found


def _raw(root: Redis, *command: str) -> Any:
    # redis-py reads this answer in a way of its own; it has no types here
    connection: Any = root.connection_pool.get_connection()
    try:
        connection.send_command(*command)
        return connection.read_response()
    finally:
        root.connection_pool.release(connection)


def _places(name: str, about: list[Any]) -> dict[str, list[str]]:
    """The shortest form of a command, for each kind of what it is about."""
    count = abs(about[1]) - len(name.split("|"))
    if name in _OF_CHANNELS:
        return {
            kind: [name, *([channel] * max(1, count))[:1], *["x"] * (count - 1)]
            for kind, channel in CHANNELS.items()
        }
    if not about[8]:
        return {"": [*name.split("|"), *["1"] * count]}
    return {kind: _on(name, about, count, key) for kind, key in KEYS.items()}


def _on(name: str, about: list[Any], count: int, key: str) -> list[str]:
    words = [*name.split("|"), *[key] * count]
    for spec in about[8]:
        said = _mapped(spec)
        begin, found = _mapped(said["begin_search"]), _mapped(said["find_keys"])
        if found["type"] == b"keynum" and begin["type"] == b"index":
            # a number of keys, and then these
            at = _mapped(begin["spec"])["index"] + _mapped(found["spec"])["keynumidx"]
            words[at:] = ["1", key, *words[at + 2 :]]
    return words


def _mapped(pairs: Any) -> dict[str, Any]:
    # a map, or in RESP2 a list
    items = pairs.items() if isinstance(pairs, dict) else zip(pairs[::2], pairs[1::2], strict=True)
    return {name.decode(): value for name, value in items}


def _may(root: Redis, user: str, words: list[str]) -> bool:
    answer = execute(root, "ACL", "DRYRUN", user, *words)
    return answer in (b"OK", "OK", True)
