from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from spacer_tasks import config
from spacer_tasks.config import get_settings, shown
from spacer_tasks.exceptions import ConfigError


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No settings from outside; what stands for secrets.json is a file of the test."""
    secrets = tmp_path / "secrets.json"
    monkeypatch.setattr(config, "secrets_path", lambda: secrets)
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


def test_django_s_setting_comes_last() -> None:
    code = """
from django.conf import settings
settings.configure(SPACER={"AWS_REGION": "django", "MAX_POINTS_PER_IMAGE": 3})
from spacer_tasks.config import get_settings
print(get_settings().aws_region, get_settings().max_points_per_image)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"SPACER_AWS_REGION": "environment", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["environment", "3"]


def test_an_unknown_key_in_django_s_setting_is_named() -> None:
    code = """
from django.conf import settings
settings.configure(SPACER={"NO_SUCH_THING": 1})
from spacer_tasks.config import get_settings
get_settings()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "SPACER_NO_SUCH_THING (from Django's SPACER): no such setting" in done.stderr
