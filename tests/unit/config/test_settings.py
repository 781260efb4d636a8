from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spacer_tasks.config import sources
from spacer_tasks.config.settings import Settings, get_settings, shown
from spacer_tasks.exceptions import ConfigError


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """No settings from outside; what stands for secrets.json is a file of the test."""
    secrets = tmp_path / "secrets.json"
    monkeypatch.setattr(sources, "secrets_path", lambda: secrets)
    get_settings.cache_clear()
    yield secrets
    get_settings.cache_clear()


def test_the_environment_comes_before_secrets_json(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.write_text(json.dumps({"AWS_REGION": "file", "MAX_POINTS_PER_IMAGE": 7}))
    monkeypatch.setenv("SPACER_AWS_REGION", "environment")
    settings = get_settings()
    assert settings.aws_region == "environment"
    assert settings.max_points_per_image == 7


def test_an_empty_variable_is_the_same_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACER_MAX_IMAGE_PIXELS", "")
    assert get_settings().max_image_pixels == 100_000_000


def test_an_unknown_variable_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACER_MAX_IMAGE_PIXEL", "5")
    with pytest.raises(ConfigError, match=r"SPACER_MAX_IMAGE_PIXEL .*environment.*no such"):
        get_settings()


def test_a_malformed_setting_is_an_error_that_names_it_and_hides_secrets(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.write_text(json.dumps({"TRAINING_BATCH_LABEL_COUNT": -1}))
    monkeypatch.setenv("SPACER_AWS_SECRET_ACCESS_KEY", "hunter2")
    with pytest.raises(ConfigError) as caught:
        get_settings()
    assert "SPACER_TRAINING_BATCH_LABEL_COUNT (from secrets.json)" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_broken_secrets_file_is_an_error_that_names_it(fresh: Path, text: str) -> None:
    fresh.write_text(text)
    with pytest.raises(ConfigError, match=r"secrets\.json"):
        get_settings()


def test_the_older_name_of_the_cache_directory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACER_LOCAL_MODEL_PATH", "/older")
    assert get_settings().extractors_cache_dir == Path("/older")
    get_settings.cache_clear()
    monkeypatch.setenv("SPACER_EXTRACTORS_CACHE_DIR", "/newer")
    assert get_settings().extractors_cache_dir == Path("/newer")


def test_settings_of_the_reference_that_mean_nothing_here_are_tolerated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPACER_TEST_BUCKET", "b")
    assert get_settings().broker_url.get_secret_value().startswith("redis://")


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACER_AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("SPACER_BROKER_URL", "redis://user:hunter2@redis.example:6380/1")
    text = str(shown(get_settings())) + repr(get_settings())
    assert "hunter2" not in text
    assert "redis://***@redis.example:6380/1" in text


@pytest.mark.parametrize("url", ["redis://h/0?password=hunter2", "not a url hunter2", "://hunter2"])
def test_a_url_that_may_hold_a_secret_elsewhere_is_hidden_whole(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SPACER_BROKER_URL", url)
    assert "hunter2" not in str(shown(get_settings()))


def test_a_missing_results_prefix_says_what_to_set() -> None:
    with pytest.raises(ConfigError, match="SPACER_RESULTS_PREFIX is not set"):
        _ = get_settings().required_results_prefix


def in_django(code: str, spacer: str = "{}", **env: str) -> str:
    """What a process prints in which Django has this SPACER, errors and log included."""
    code = f"""
import logging, os, pathlib, sys
logging.basicConfig(stream=sys.stdout, format="%(levelname)s: %(message)s")
if "DJANGO_SETTINGS_MODULE" not in os.environ:
    from django.conf import settings
    settings.configure(SPACER={spacer})
from spacer_tasks.config.settings import get_settings, without_django
from spacer_tasks.exceptions import ConfigError
try:
    {code}
except ConfigError as error:
    print("ConfigError:", error)
"""
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    ).stdout


def test_django_s_setting_comes_last() -> None:
    spacer = {"AWS_REGION": "django", "MAX_POINTS_PER_IMAGE": 3}
    printed = in_django(
        "print(get_settings().aws_region, get_settings().max_points_per_image)",
        repr(spacer),
        SPACER_AWS_REGION="environment",
    )
    assert printed.split() == ["environment", "3"]


def test_django_s_values_have_the_reference_s_types() -> None:
    spacer = """{
    "EXTRACTORS_CACHE_DIR": pathlib.Path("/cache"), "MAX_IMAGE_PIXELS": 7,
    "MAX_POINTS_PER_IMAGE": 8, "TRAINING_BATCH_LABEL_COUNT": 9, "AWS_ANONYMOUS": True,
    "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_SESSION_TOKEN": "",
    "AWS_PROFILE_NAME": None, "AWS_REGION": "us-west-2", "LOG_LEVEL": "INFO"}"""
    printed = in_django("print(repr(get_settings()))", spacer)
    for text in (
        "extractors_cache_dir=PosixPath('/cache')",
        "max_image_pixels=7",
        "max_points_per_image=8",
        "training_batch_label_count=9",
        "aws_anonymous=True",
        "aws_region='us-west-2'",
        "aws_session_token=None",
    ):
        assert text in printed
    assert "WARNING" not in printed
    spacer = '{"EXTRACTORS_CACHE_DIR": "/cache", "LOCAL_MODEL_PATH": "/older"}'
    assert in_django("print(get_settings().extractors_cache_dir)", spacer) == "/cache\n"


def test_what_is_not_known_in_django_s_setting_is_named_once_and_stops_nothing() -> None:
    spacer = """{"TEST_BUCKET": "b", "CN_FIXTURES_BUCKET": None, "MAX_IMAGE_PIXEL": 1,
    "NEW_IN_THE_REFERENCE": 2, 3: 4, "MAX_POINTS_PER_IMAGE": 5}"""
    printed = in_django(
        "print(get_settings().max_points_per_image, get_settings().max_image_pixels)", spacer
    )
    *warnings, values = printed.splitlines()
    assert values == "5 100000000"
    assert warnings == [
        "WARNING: Django's SPACER['TEST_BUCKET'] is not used: it is the reference's or"
        " CoralNet's, and means nothing here",
        "WARNING: Django's SPACER['MAX_IMAGE_PIXEL'] is not used: no such setting;"
        " MAX_IMAGE_PIXELS is one, so perhaps it is a typing error",
        "WARNING: Django's SPACER['NEW_IN_THE_REFERENCE'] is not used: no such setting;"
        " perhaps it is one of a newer reference",
        "WARNING: Django's SPACER['3'] is not used: no such setting;"
        " perhaps it is one of a newer reference",
    ]


@pytest.mark.parametrize(
    ("spacer", "text"),
    [
        ('{"MAX_IMAGE_PIXELS": "many"}', "SPACER_MAX_IMAGE_PIXELS (from Django's SPACER): Input"),
        ("[1]", "Django's SPACER is a list, expected a dict"),
    ],
)
def test_what_is_wrong_in_django_s_setting_is_an_error(spacer: str, text: str) -> None:
    assert f"ConfigError: {text}" in in_django("get_settings()", spacer)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('SPACER = {"MAX_POINTS_PER_IMAGE": 3}', "3"),
        (
            'raise KeyError("HOST")',
            "ConfigError: Django's settings in site_settings cannot be read: KeyError: 'HOST'",
        ),
        ("import no_such_module", "1000"),
    ],
)
def test_a_settings_module_is_read_where_it_can_be(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "site_settings.py").write_text(f"SECRET_KEY = 'x'\n{content}\n")
    printed = in_django(
        "print(get_settings().max_points_per_image)",
        DJANGO_SETTINGS_MODULE="site_settings",
        PYTHONPATH=str(tmp_path),
    )
    assert printed.strip() == said


def test_without_django_its_settings_are_not_even_imported(tmp_path: Path) -> None:
    (tmp_path / "site_settings.py").write_text("raise KeyError")
    printed = in_django(
        "without_django(); get_settings(); print('django.conf' in sys.modules)",
        DJANGO_SETTINGS_MODULE="site_settings",
        PYTHONPATH=str(tmp_path),
    )
    assert printed.strip() == "False"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described(name: str) -> None:
    """docs/settings.md and `spacer-tasks config` are made of it."""
    described = Settings.model_fields[name].description
    assert described
    assert described.strip()
