"""Settings and locations as they are shown: no login, no signature, and on one line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spacer_tasks.config.settings import get_settings, shown
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.printable import printable

SECRET = "s3cr3t-p4ss"
SIGNED = f"https://host/w.pt?X-Amz-Signature={SECRET}"
SETTINGS = {
    "BROKER_URL": f"redis://:other@one:6379/0;redis://user:{SECRET}@two:6379/0",
    "RESULT_BACKEND_URL": f"redis://one:6379/0?password={SECRET}",
    "S3_ENDPOINT_URL": f"https://user:{SECRET}@s3.example.org",
    "SQS_ENDPOINT_URL": f"https://sqs.example.org/?token={SECRET}",
    "RESULTS_PREFIX": f"https://user:{SECRET}@host/results",
    "WARM_EXTRACTOR": (
        '{"class_path": "x", "data_locations": {"weights": {"storage_type": "url", "key": "'
        + SIGNED + '"}}, "other": ["' + SIGNED + '"]}'
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_no_setting_shows_a_login_or_a_signature(
    name: str, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv(f"SPACER_{name}", SETTINGS[name])
    settings_changed()
    assert SECRET not in str(shown(get_settings()))


def test_addresses_of_several_servers_stay_readable(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_BROKER_URL", SETTINGS["BROKER_URL"])
    settings_changed()
    found = shown(get_settings())["SPACER_BROKER_URL"]
    assert found == "redis://***@one:6379/0;redis://***@two:6379/0"


@pytest.mark.parametrize("kind", ["filesystem", "memory", "s3", "url"])
@pytest.mark.parametrize("letter", ["\n", "\r", "\x1b", "\x9b", "\u2028", "\u202e", "\x00", "\b"])
def test_a_key_forges_no_line_and_moves_no_cursor(kind: str, letter: str) -> None:
    loc = DataLocation.model_validate(
        {"storage_type": kind, "key": f"a{letter}ERROR: b", "bucket_name": "reef"}
    )
    assert str(loc).isprintable()
    assert str(loc).startswith(("a\\", "memory://a\\", "s3://reef/a\\"))
    assert loc.uri.endswith(f"a{letter}ERROR: b")


@pytest.mark.parametrize("kind", ["filesystem", "memory", "s3", "url"])
def test_a_key_that_looks_like_a_url_shows_no_signature(kind: str) -> None:
    loc = DataLocation.model_validate({"storage_type": kind, "key": SIGNED, "bucket_name": "reef"})
    assert SECRET not in str(loc)


def test_what_can_be_printed_is_shown_as_it_is() -> None:
    assert printable("Räf/Ångström 1.jpg") == "Räf/Ångström 1.jpg"
