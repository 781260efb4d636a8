"""What a worker refuses, and when it stops taking."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from kombu.transport.redis import MultiChannelPoller

from spacer_tasks.broker import refused, signing
from spacer_tasks.broker.contract import WAITS_AT_MOST_S
from spacer_tasks.broker.refused import Reason, read_entry, ref_of
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.worker.delivery import intake, versions
from spacer_tasks.worker.delivery.gate import IN_A_ROW, OF_THE_LAST, TOO_MANY, Fault, Gate
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


@pytest.mark.usefixtures("keys")
def test_a_good_one_between_begins_the_count_anew() -> None:
    gate, good, unsigned = Gate([TASK], signed=True), raw(), raw(signed=False)
    for _ in range(TOO_MANY // IN_A_ROW):
        for _ in range(IN_A_ROW - 1):
            assert judged(gate, unsigned)
        assert judged(gate, good) is None
    assert intake.closed() is None


@pytest.mark.parametrize("good_ones", [1, 2, 3])
def test_refusals_among_good_ones_stop_a_worker_too(
    keys: Callable[[str], None], good_ones: int
) -> None:
    """As where two keys are in use, and the worker has one of them."""
    gate, good, unsigned = Gate([TASK], signed=True), raw(), raw(signed=False)
    keys("b" * 40)
    other = raw()
    keys("a" * 40)
    refusals = 0
    while intake.closed() is None:
        # reasons that change hide nothing
        assert judged(gate, other if refusals % 2 else unsigned)
        refusals += 1
        for _ in range(good_ones):
            assert judged(gate, good) is None
    assert refusals == TOO_MANY
    assert f"{TOO_MANY} of the last" in (intake.closed() or "")


@pytest.mark.usefixtures("keys")
def test_a_few_refusals_among_many_good_ones_stop_nobody() -> None:
    gate, good, unsigned = Gate([TASK], signed=True), raw(), raw(signed=False)
    for number in range(10 * OF_THE_LAST):
        # fewer than the share
        assert (judged(gate, good) is None) if number % 6 else judged(gate, unsigned)
    assert intake.closed() is None


@pytest.mark.usefixtures("keys")
def test_nonsense_between_hides_no_wrong_key() -> None:
    gate, unsigned = Gate([TASK], signed=True), raw(signed=False)
    for _ in range(IN_A_ROW):
        assert intake.closed() is None
        assert judged(gate, unsigned)
        assert judged(gate, b"nonsense")
    assert intake.closed() is not None


def test_what_is_too_long_to_be_kept_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused, "LONGEST", 1000)
    monkeypatch.setattr(refused, "CUT_TO", 10)
    for data, kept, cut in ((b"x" * 1000, 1000, None), (b"x" * 1001, 10, 1001)):
        found = read_entry(refused.entry_of(data, Reason.UNREADABLE, "why", "q", "w", 1.5))
        assert (len(found.raw), found.cut) == (kept, cut)


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
