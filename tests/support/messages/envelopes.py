"""Messages as they lie in a queue, made wrong in one place or several."""

from __future__ import annotations

import base64
import copy
import json
import random
import uuid
from typing import Any

#: values of other types than expected, and at the edges of those that are
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 10**400, 0.5, 1e308, float("nan"),
    float("inf"), "", "x", "\0", "\n", "\ud800", "ä" * 300, "../../etc", "1e999", "yesterday",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2020-01-01T00:00:00", "T", "24:00",
    [], [[]], [None], [1, 2], ["a", 1], [-1, 1e400], {}, {"": 0}, {"x": {"y": []}},
    {"task": 1}, {"task": "t", "args": 1}, [{"task": "t", "options": 1}],
    [{"task": "t", "args": [], "kwargs": {}, "options": {"queue": 5, "link": [7]}}],
    {"__type__": "datetime", "__value__": "nonsense"},
    {"__type__": "uuid", "__value__": {"hex": 5}},
    {"__type__": "base64", "__value__": 7}, {"__type__": "decimal", "__value__": "x"},
    {"__type__": [], "__value__": {}}, {"__type__": "bytes", "__value__": "\ud800"},
    "utf-16", "base64", "application/x-python-serialize", "zlib", "celery.map", "os.system",
)  # fmt: skip
#: what stands in for a value in the text: Redis's reader takes some of these and Python's does not
TEXTS = (
    "1" * 5000, "-" + "9" * 4400, "[" * 990 + "]" * 990, "[" * 5000 + "]" * 5000, '{"a":' * 900
    + "1" + "}" * 900, "1e99999", "NaN", "-Infinity", '"\\ud800\\ud800"', '"\\u0000"', "0x10",
    "'a'", "01", "1.", '{"a": 1, "a": 2}', "",
)  # fmt: skip
#: headers that Celery, Kombu or this package reads and a message need not have
HEADERS = (
    "eta", "expires", "timelimit", "retries", "group", "group_index", "root_id", "parent_id",
    "shadow", "ignore_result", "stamped_headers", "stamps", "replaced_task_nesting", "compression",
    "lang", "meth", "argsrepr", "kwargsrepr", "origin", "sent_at", "spacer_signature", "chord",
    "reply_to", "correlation_id", "utc", "redelivered", "task", "id", "headers", "hostname",
    "callbacks", "errbacks", "delivery_info", "properties", "args", "kwargs", "is_eager", "timeout",
)  # fmt: skip
_MARK = '"@@here@@"'


def envelope(task: str, task_id: str, message: dict[str, Any], queue: str) -> dict[str, Any]:
    """A message as Celery sends it, which is good."""
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return {
        "body": encoded([[message], {}, embed]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py", "task": task, "id": task_id, "root_id": task_id, "parent_id": None,
            "group": None, "group_index": None, "retries": 0, "eta": None, "expires": None,
            "timelimit": [None, None], "argsrepr": "", "kwargsrepr": "", "origin": "test",
            "shadow": None, "ignore_result": False, "replaced_task_nesting": 0,
            "stamped_headers": None, "stamps": {}, "sent_at": 1.5,
        },
        "properties": {
            "correlation_id": task_id, "reply_to": None, "delivery_mode": 2, "priority": 0,
            "delivery_info": {"exchange": queue, "routing_key": queue},
            "body_encoding": "base64", "delivery_tag": str(uuid.uuid4()),
        },
    }  # fmt: skip


def encoded(body: Any) -> str:
    """A body in its place."""
    return base64.b64encode(json.dumps(body).encode()).decode()


def malformed(good: dict[str, Any], chance: random.Random) -> bytes:
    """One that is wrong somewhere; a few are right all the same."""
    wrong = copy.deepcopy(good)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        kind = chance.random()
        if kind < 0.35:
            wrong["headers"] = _with(wrong.get("headers"), chance.choice(HEADERS), chance)
        elif kind < 0.6:
            _change(wrong, chance)
        elif kind < 0.85:
            body = json.loads(base64.b64decode(good["body"]))
            if chance.random() < 0.4:
                # something that follows it, to be wrong in its turn
                body[2][chance.choice(("callbacks", "errbacks", "chain"))] = [_follower(chance)]
            _change(body, chance)
            if chance.random() < 0.3 and isinstance(body, list) and body:
                _change(body[-1] if isinstance(body[-1], dict) else body, chance)
            wrong["body"] = encoded(body)
        elif kind < 0.93:
            return _text_changed(wrong, chance)
        else:
            return _damaged(json.dumps(wrong).encode(), chance)
    return json.dumps(wrong).encode()


def _follower(chance: random.Random) -> dict[str, Any]:
    """A task as Celery writes one, or a group, chain or chord of such."""
    one: dict[str, Any] = {
        "task": "t", "args": [1], "kwargs": {}, "immutable": False, "subtask_type": None,
        "options": {"queue": "q", "task_id": "a", "priority": 1, "headers": {}, "countdown": 1},
    }  # fmt: skip
    kind = chance.choice((None, None, "group", "chain", "chord"))
    if kind is None:
        return one
    tasks = [copy.deepcopy(one), copy.deepcopy(one)]
    made = {"header": tasks, "body": copy.deepcopy(one)} if kind == "chord" else {"tasks": tasks}
    return {**one, "task": f"celery.{kind}", "subtask_type": kind, "args": [], "kwargs": made}


def _with(headers: Any, name: str, chance: random.Random) -> Any:
    if not isinstance(headers, dict):
        return headers
    return {**headers, name: copy.deepcopy(chance.choice(STRANGE))}


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs: list[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    else:
        return found
    for key, item in pairs:
        found += [(value, key), *_places(item)]
    return found


def _change(value: Any, chance: random.Random) -> None:
    places = _places(value)
    if not places:
        return
    holder, key = chance.choice(places)
    kind = chance.random()
    if kind < 0.2:
        del holder[key]
    elif kind < 0.3:
        holder[key] = [holder[key], copy.deepcopy(holder[key])]
    else:
        holder[key] = copy.deepcopy(chance.choice(STRANGE))


def _text_changed(wrong: dict[str, Any], chance: random.Random) -> bytes:
    places = [each for each in _places(wrong) if each[1] != "delivery_tag"]
    if not places:
        return b""
    holder, key = chance.choice(places)
    holder[key] = _MARK.strip('"')
    return json.dumps(wrong).replace(_MARK, chance.choice(TEXTS)).encode()


def _damaged(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    kind = chance.random()
    if kind < 0.4:
        return data[:at]
    if kind < 0.7:
        return data[:at] + chance.randbytes(chance.randrange(1, 8)) + data[at:]
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
