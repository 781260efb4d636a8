"""What a worker refuses, and when it stops taking."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from kombu.transport.redis import MultiChannelPoller

from spacer_tasks.broker import signing
from spacer_tasks.broker.contract import WAITS_AT_MOST_S
from spacer_tasks.broker.refused import Reason, read_entry, ref_of
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.worker.delivery import intake, versions
from spacer_tasks.worker.delivery.gate import IN_A_ROW, Fault, Gate
from tests.support.messages.envelopes import encoded, envelope

TASK = "spacer_tasks.extract_features"
BODY: list[Any] = [[{}], {}, {}]


@pytest.fixture(autouse=True)
def nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_CLOSED", {})


@pytest.fixture
def keys(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> Callable[[str], None]:
    def use(key: str) -> None:
        monkeypatch.setenv("SPACER_SIGNING_KEYS", key)
        settings_changed()

    use("a" * 40)
    return use


def raw(signed: bool = True, **headers: Any) -> bytes:
    message = envelope(TASK, "1", {}, "features")
    message["headers"].update(headers)
    message["body"] = encoded(BODY)
    if signed:
        signing.sign(TASK, BODY, message["headers"])
    return json.dumps(
        {**message, "properties": {**message["properties"], "delivery_tag": "t"}}
    ).encode()


def judged(gate: Gate, data: bytes) -> Fault | None:
    _, fault = gate.read(data, "t")
    if fault is not None:
        entry = read_entry(gate.refuse(data, "features", fault))
        assert entry.raw == data
        assert (entry.reason, entry.why, entry.queue) == (fault.reason, fault.why, "features")
        assert entry.ref == ref_of(data)
    return fault


def test_a_message_that_redis_took_for_another_is_refused() -> None:
    _, fault = Gate([TASK], signed=False).read(raw(), "other")
    assert fault is not None
    assert fault.reason is Reason.UNREADABLE


def test_a_task_that_is_not_known_is_refused() -> None:
    fault = judged(Gate(["another"], signed=False), raw())
    assert fault is not None
    assert fault.reason is Reason.UNKNOWN_TASK
    assert TASK in fault.why


def test_after_some_refusals_in_a_row_for_one_reason_nothing_is_taken(
    keys: Callable[[str], None],
) -> None:
    data = raw()
    gate = Gate([TASK], signed=True)
    assert judged(gate, data) is None
    keys("b" * 40)
    for number in range(IN_A_ROW):
        assert intake.closed() is None, number
        fault = judged(gate, data)
        assert fault is not None
        assert fault.reason is Reason.SIGNATURE
    assert "none of the keys" in (intake.closed() or "")


def test_a_good_one_between_begins_the_count_anew(keys: Callable[[str], None]) -> None:
    gate, good, unsigned = Gate([TASK], signed=True), raw(), raw(signed=False)
    for _ in range(3 * IN_A_ROW):
        for _ in range(IN_A_ROW - 1):
            assert judged(gate, unsigned)
        assert judged(gate, good) is None
    assert intake.closed() is None


def test_nonsense_stops_no_worker_however_much_there_is() -> None:
    gate = Gate([TASK], signed=False)
    for _ in range(3 * IN_A_ROW):
        assert judged(gate, b"nonsense")
    assert intake.closed() is None


def test_a_part_of_a_batch_is_not_too_old_while_the_batch_may_run(
    keys: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, alone, part = Gate([TASK], signed=True), raw(), raw(group="g", root_id="batch")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 8 * 86400)
    fault = judged(gate, alone)
    assert fault is not None
    assert fault.reason is Reason.AGE
    assert judged(gate, part) is None
    monkeypatch.setattr(time, "time", lambda: now + WAITS_AT_MOST_S + 60)
    assert judged(gate, part)


def test_an_entry_of_an_older_version_is_read() -> None:
    for entry in (b"no JSON", b"[]", b"", b'{"properties": {}}\n{}', b'{"refused": 1}\nx'):
        found = read_entry(entry)
        assert found.reason is Reason.NOT_SAID
        assert found.raw == entry


def test_versions_of_others_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    versions.check()
    for name, (oldest, too_new) in versions.TRIED.items():
        before = (oldest[0], oldest[1] - 1) if oldest[1] else (oldest[0] - 1, 9)
        for version in (before, (*too_new, 0), (*too_new, 1)):
            text = ".".join(map(str, version))
            with monkeypatch.context() as other:
                other.setattr(versions._FOUND[name], "__version__", text)
                with pytest.raises(ConfigError, match=f"{text} is installed; workers know"):
                    versions.check()


def test_a_kombu_that_asks_in_another_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def asks(self: Any, channel: Any) -> None:
        channel._ask_otherwise()

    for changed in (asks, None):
        with monkeypatch.context() as other:
            other.setattr(MultiChannelPoller, "_register_BRPOP", changed)
            with pytest.raises(ConfigError, match="in a way that is not known"):
                versions.check()
