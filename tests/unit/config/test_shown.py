"""Settings and locations as they are shown: no login, no signature, and on one line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spacer_tasks.config.settings import get_settings, shown
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ConfigError
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


#: with mistakes that people make, and in places that are no password's
MORE = [
    ("BROKER_URL", f"redis://h:6379/{SECRET}@x"),
    ("BROKER_URL", f"redis://:a/{SECRET}@h:6379/0"),
    ("BROKER_URL", f"redis://:a#{SECRET}@h:6379/0"),
    ("BROKER_URL", f"redis://:a?{SECRET}@h:6379/0"),
    ("BROKER_URL", f"redis:{SECRET}@h"),
    ("BROKER_URL", f"redis://h:1/0;{SECRET}"),
    ("BROKER_URL", f"redis://u:p%40{SECRET}@h/0#{SECRET}"),
    ("S3_ENDPOINT_URL", f"user:{SECRET}@s3:9000"),
    ("S3_ENDPOINT_URL", f"//user:{SECRET}@s3"),
    ("S3_ENDPOINT_URL", f"https:/user:{SECRET}@s3"),
    ("S3_ENDPOINT_URL", f"https:\\\\user:{SECRET}@s3"),
    ("S3_ENDPOINT_URL", f"https://user:a/{SECRET}@s3"),
    ("S3_ENDPOINT_URL", f"https://user:a#{SECRET}@s3"),
    ("S3_ENDPOINT_URL", f"https://user:a?{SECRET}@s3"),
    ("S3_ENDPOINT_URL", f"https://a@b:{SECRET}@s3"),
    ("S3_ENDPOINT_URL", f"https://{SECRET}@s3"),
    ("S3_ENDPOINT_URL", f"https://s3/#{SECRET}"),
    ("WARM_EXTRACTOR", f'{{"a": "https://h/x#token={SECRET}"}}'),
    ("WARM_EXTRACTOR", f'{{"a": "see https://h/ and https://u:{SECRET}@h"}}'),
    ("WARM_EXTRACTOR", f'{{"a": {{"Password": "{SECRET}"}}, "b": [{{"api_token": "{SECRET}"}}]}}'),
    ("WARM_EXTRACTOR", f'{{"a": [{{"https://u:{SECRET}@h": 1}}]}}'),
    ("EXTRACTORS_CACHE_DIR", f"https://u:{SECRET}@h/x"),
    ("METRICS_HOST", f"u:{SECRET}@h"),
    ("RESULTS_PREFIX", f"s3://b/x#{SECRET}"),
    ("SENTINEL_PASSWORD", SECRET),
    ("SENTINEL_MASTER", f"redis://:{SECRET}@h"),
    ("SIGNING_KEYS", f"{SECRET}0123456789"),
    # these are errors
    ("SIGNING_KEYS", SECRET),
    ("SIGNING_KEYS", f'["{SECRET}'),
    ("ALLOWED_S3", f"https://u:{SECRET}@b"),
    ("ALLOWED_ROOTS", f"https://u:{SECRET}@h/"),
    ("ALLOWED_URLS", f"https://u:{SECRET}@h"),
    ("DEVICE", f"https://u:{SECRET}@h"),
    ("IMAGE_FORMATS", f"u:{SECRET}@h"),
    ("MAX_IMAGE_PIXELS", SECRET),
]


@pytest.mark.parametrize(("name", "value"), [*SETTINGS.items(), *MORE])
def test_no_setting_shows_a_login_or_a_signature(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv(f"SPACER_{name}", value)
    settings_changed()
    try:
        found = str(shown(get_settings()))
    except ConfigError as error:
        found = str(error)
    assert f"SPACER_{name}" in found
    assert SECRET.lower() not in found.lower()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S3_ENDPOINT_URL", "https://s3.example.org:9000/a@b"),
        ("RESULTS_PREFIX", "s3://reef/a@b/results"),
        ("EXTRACTORS_CACHE_DIR", "/var/cache/a@b"),
    ],
)
def test_what_is_no_login_stays_readable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv(f"SPACER_{name}", value)
    settings_changed()
    found = shown(get_settings())[f"SPACER_{name}"]
    # a port looks like a password; of an at sign behind it, what stands before is not shown
    assert found in (value, "https://***@b")


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
