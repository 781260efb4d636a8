"""Every header and property that is read on a message's way has its type checked."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from spacer_tasks.worker.delivery.envelopes import fault_of, read
from tests.support.messages.envelopes import STRANGE, encoded, envelope, malformed
from tests.support.messages.wire import RECORDED, recorded

FOLLOWS = {"task": "t", "args": [], "kwargs": {}, "options": {"queue": "q", "task_id": "1"}}


def good(**changes: Any) -> dict[str, Any]:
    return {**envelope("spacer_tasks.extract_features", "1", {}, "features"), **changes}


def with_header(name: str, value: Any) -> dict[str, Any]:
    found = good()
    return {**found, "headers": {**found["headers"], name: value}}


def with_property(name: str, value: Any) -> dict[str, Any]:
    found = good()
    return {**found, "properties": {**found["properties"], name: value}}


def with_body(body: Any) -> dict[str, Any]:
    return good(body=encoded(body))


def test_a_good_message_goes_through() -> None:
    assert fault_of(good()) is None
    assert read(json.dumps(good()))[1] is None
    embed = {"callbacks": [FOLLOWS], "errbacks": None, "chain": [], "chord": FOLLOWS}
    assert fault_of(with_body([[{}], {}, embed])) is None


def test_what_versions_before_sent_goes_through() -> None:
    for version in sorted(path for path in RECORDED.iterdir() if path.is_dir()):
        for name, message in recorded(version, "messages").items():
            found = good(headers=message["headers"], body=encoded(message["body"]))
            found["headers"] = {**found["headers"], "id": "1", "root_id": "1"}
            assert fault_of(found) is None, (version.name, name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eta", ""), ("eta", []), ("eta", {}), ("eta", 5), ("eta", "yesterday"),
        ("eta", "0001-01-01T00:00:00+14:00"), ("expires", ""), ("expires", [1]),
        ("expires", "garbage"), ("expires", 10**400), ("retries", "x"), ("retries", -1),
        ("retries", True), ("retries", 10**30), ("timelimit", 7), ("timelimit", ["a", 1]),
        ("timelimit", [1]), ("timelimit", [-1, 1]), ("timelimit", [float("nan"), 1]),
        ("group", [1]), ("root_id", {}), ("parent_id", 5), ("shadow", [1]), ("lang", 5),
        ("ignore_result", "x"), ("replaced_task_nesting", "x"), ("stamped_headers", 5),
        ("stamped_headers", [5]), ("stamps", 7), ("group_index", "1"), ("argsrepr", 5),
        ("sent_at", "x"), ("spacer_run", [1]), ("spacer_signature", {}), ("origin", "\ud800"),
        ("compression", "zlib"),
        ("stamped_headers", ["id"]), ("id", None), ("id", "../../data/x"), ("id", "x" * 400),
        ("task", ""), ("task", ["x"]), ("meth", 4), ("x", "\ud800"),
        ("callbacks", []), ("errbacks", 5), ("chain", None), ("chord", {}),
    ],
)  # fmt: skip
def test_a_header_of_another_type_is_refused_by_its_name(name: str, value: Any) -> None:
    assert fault_of(with_header(name, value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", "x"), ("priority", -1), ("reply_to", 5), ("correlation_id", {}),
        ("delivery_mode", "x"), ("delivery_tag", None), ("delivery_info", []),
        ("delivery_info", {"exchange": "x"}), ("body_encoding", "x"), ("body_encoding", 5),
        ("delivery_info", {"exchange": "x", "routing_key": "x", "redelivered": 5}),
    ],
)  # fmt: skip
def test_a_property_of_another_type_is_refused(name: str, value: Any) -> None:
    assert fault_of(with_property(name, value))


@pytest.mark.parametrize("encoding", ["nope", None, 5, [], "utf-16", "base64"])
def test_an_encoding_other_than_utf_8_is_refused(encoding: Any) -> None:
    assert fault_of(good(**{"content-encoding": encoding}))


@pytest.mark.parametrize(
    "embed",
    [
        {"callbacks": 7}, {"callbacks": [7]}, {"chain": [None]}, {"chord": "x"},
        {"chain": [{"task": 1}]},
        {"callbacks": [{**FOLLOWS, "options": 1}]},
        {"callbacks": [{**FOLLOWS, "options": {"queue": 5}}]},
        {"callbacks": [{**FOLLOWS, "options": {"task_id": "../x"}}]},
        {"callbacks": [{**FOLLOWS, "options": {"link": [7]}}]},
    ],
)  # fmt: skip
def test_what_follows_a_task_is_looked_at_too(embed: dict[str, Any]) -> None:
    assert fault_of(with_body([[{}], {}, embed]))


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff", b"[" * 5000, b'{"x": ' + b"1" * 5000 + b"}",
     b'{"x": {"__type__": "datetime", "__value__": "nonsense"}}',
     b'{"x": {"__type__": "uuid", "__value__": {"hex": 5}}}'],
)  # fmt: skip
def test_what_python_cannot_read_is_refused_with_a_reason(raw: bytes) -> None:
    envelope, why = read(raw)
    assert envelope is None
    assert why
    assert why.startswith("it cannot be read: ")


def test_nothing_makes_an_error() -> None:
    chance = random.Random(1)
    for value in STRANGE:
        assert fault_of(value)
    refused = 0
    for _ in range(3000):
        _, why = read(malformed(good(), chance))
        refused += why is not None
    assert refused > 1000
