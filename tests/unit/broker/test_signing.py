"""What a signature covers, and what is no signature."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from celery import Celery
from kombu.utils import json

from spacer_tasks.app import app
from spacer_tasks.broker import signing
from spacer_tasks.config.settings import get_settings, shown
from spacer_tasks.exceptions import ConfigError

KEY = "key-of-this-test"
BODY: tuple[list[Any], dict[str, Any], dict[str, Any]] = (
    [{"job_token": "ü", 1: 0.1}],
    {},
    {"callbacks": [app.signature("x.y", (1,))], "chord": None},
)
HEADERS: dict[str, Any] = {
    "task": "spacer_tasks.extract_features",
    "id": "1",
    "retries": 0,
    "expires": None,
    "timelimit": (None, None),
    "argsrepr": "shown to people",
}


@pytest.fixture
def keys(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> Callable[[str], None]:
    def set_(text: str) -> None:
        monkeypatch.setenv("SPACER_SIGNING_KEYS", text)
        settings_changed()

    return set_


def signed(body: Any = BODY, **headers: Any) -> tuple[Any, dict[str, Any]]:
    """Body and headers as they are sent and received."""
    sent = {**HEADERS, **headers}
    signing.sign(sent["task"], body, sent)
    received: tuple[Any, dict[str, Any]] = json.loads(json.dumps([body, sent]))
    return received


def test_what_was_signed_is_taken(keys: Callable[[str], None]) -> None:
    keys(KEY)
    assert signing.fault_of(*signed()) is None
    assert (
        signing.fault_of(*signed(([datetime.now(timezone.utc), 1e-7, {2: "b", "10": "a"}], {}, {})))
        is None
    )


def test_keys_rotate_without_a_message_lost(keys: Callable[[str], None]) -> None:
    old, new = "old-key-of-the-test", "new-key-of-the-test"
    keys(old)
    before = signed()
    keys(f'["{new}", "{old}"]')
    assert signing.fault_of(*before) is None
    after = signed()
    keys(new)
    assert signing.fault_of(*after) is None
    assert "none of the keys" in str(signing.fault_of(*before))


@pytest.mark.parametrize("name", signing.SIGNED)
def test_no_header_that_says_what_is_done_can_be_changed(
    keys: Callable[[str], None], name: str
) -> None:
    keys(KEY)
    body, headers = signed()
    headers[name] = "changed"
    assert "changed on the way" in str(signing.fault_of(body, headers))


def test_no_part_of_the_body_can_be_changed(keys: Callable[[str], None]) -> None:
    keys(KEY)
    body, headers = signed()
    args, kwargs, embed = body
    for changed in (
        [[{**args[0], "job_token": "u"}], kwargs, embed],
        [args, {"x": 1}, embed],
        [args, kwargs, {**embed, "callbacks": []}],
        [args, kwargs, {**embed, "chord": {"task": "celery.map"}}],
        [args, kwargs],
    ):
        assert "changed on the way" in str(signing.fault_of(changed, headers))


def test_a_header_for_people_may_be(keys: Callable[[str], None]) -> None:
    keys(KEY)
    body, headers = signed()
    assert signing.fault_of(body, {**headers, "argsrepr": "shortened", "trace": "x"}) is None


@pytest.mark.parametrize(
    "found",
    [
        None,
        1,
        "",
        ":",
        "::",
        "1:1:",
        "2:1:x",
        "1:x:y",
        "1:-1:y",
        "1:1:ü",
        "1:" + "9" * 5000 + ":y",
        ["1"],
    ],
)
def test_what_is_no_signature_is_refused_without_an_error(
    keys: Callable[[str], None], found: Any
) -> None:
    keys(KEY)
    body, headers = signed()
    assert signing.fault_of(body, {**headers, signing.HEADER: found})
    assert signing.fault_of(body, None)
    assert signing.fault_of(body, {})


def test_a_signature_holds_for_a_time(
    keys: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_SIGNATURE_MAX_AGE_S", "100")
    keys(KEY)
    body, headers = signed()
    version, at, mac = headers[signing.HEADER].split(":")
    # its time cannot be moved
    moved = f"{version}:{int(at) + 50}:{mac}"
    assert "changed" in str(signing.fault_of(body, {**headers, signing.HEADER: moved}))
    later = time.time() + 101
    monkeypatch.setattr(time, "time", lambda: later)
    assert "MAX_AGE" in str(signing.fault_of(body, headers))


def test_a_message_of_a_site_s_own_is_left_alone(keys: Callable[[str], None]) -> None:
    keys(KEY)
    headers: dict[str, Any] = {"task": "reef.tasks.done"}
    signing.sign("reef.tasks.done", BODY, headers)
    assert signing.HEADER not in headers


def test_without_keys_messages_are_as_they_were(settings_changed: Callable[[], None]) -> None:
    headers = dict(HEADERS)
    signing.sign(headers["task"], BODY, headers)
    assert headers == HEADERS


def test_to_require_signatures_without_keys_is_an_error(
    settings_changed: Callable[[], None],
) -> None:
    with pytest.raises(ConfigError, match="SPACER_SIGNING_KEYS"):
        signing.check_keys()


def test_keys_are_not_shown_and_not_short(keys: Callable[[str], None]) -> None:
    keys("hunter2-hunter2-hunter2,hunter3-hunter3-hunter3")
    assert "hunter" not in str(shown(get_settings())) + repr(get_settings())
    keys("hunter2")
    with pytest.raises(ConfigError, match="SPACER_SIGNING_KEYS") as caught:
        get_settings()
    assert "hunter2" not in str(caught.value)


def test_celery_has_what_this_hangs_on(keys: Callable[[str], None]) -> None:
    """A message of a plain application, sent to memory, carries the header."""
    keys(KEY)
    plain = Celery("plain", broker="memory://", set_as_current=False)
    plain.send_task("spacer_tasks.extract_features", ({},), task_id="1", queue="q")
    with plain.connection() as connection:
        message = connection.SimpleQueue("q").get(timeout=5)
    assert signing.fault_of(message.payload, message.headers) is None


SENDS = """
import spacer_tasks.tasks
from kombu.transport.memory import Channel
Channel._put = lambda self, queue, message, **_: print(sorted(message["headers"]))
app = spacer_tasks.tasks.app
app.conf.broker_url = "memory://"
app.send_task("spacer_tasks.extract_features", ignore_result=True)
"""


def test_a_process_that_only_imports_the_tasks_signs_what_it_sends() -> None:
    # a process of its own: here, other tests have imported whatever signs
    env = {**os.environ, "SPACER_SIGNING_KEYS": KEY}
    done = subprocess.run(
        [sys.executable, "-c", SENDS], env=env, capture_output=True, text=True, check=True
    )
    assert signing.HEADER in done.stdout, done.stdout
