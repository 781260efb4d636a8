"""The reference's settings, by its names."""

from __future__ import annotations

from typing import Any

import pytest

from spacer_tasks.compat import aws, config
from spacer_tasks.exceptions import ConfigError


def test_settings_are_this_project_s(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Any
) -> None:
    assert config.MAX_POINTS_PER_IMAGE == 1000
    assert config.AWS_ACCESS_KEY_ID is None
    monkeypatch.setenv("SPACER_MAX_POINTS_PER_IMAGE", "7")
    monkeypatch.setenv("SPACER_AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("SPACER_EXTRACTORS_CACHE_DIR", "/somewhere")
    settings_changed()
    assert config.MAX_POINTS_PER_IMAGE == 7
    assert getattr(config, "AWS_ACCESS_KEY_ID") == "key"  # noqa: B009 -- None above, to mypy
    assert config.EXTRACTORS_CACHE_DIR == "/somewhere"
    with pytest.raises(AttributeError, match="NO_SUCH_SETTING"):
        _ = config.NO_SUCH_SETTING


def test_a_value_of_the_environment_is_of_the_type_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for value, kind, expected in (("x", str, "x"), ("12", int, 12), ("False", bool, False)):
        monkeypatch.setenv("SPACER_SOME_KEY", value)
        assert config.get_config_value("SOME_KEY", kind) == expected
    monkeypatch.setenv("SPACER_SOME_KEY", "maybe")
    with pytest.raises(ConfigError, match="True or False"):
        config.get_config_value("SOME_KEY", bool)
    monkeypatch.setenv("SPACER_SOME_KEY", "")
    assert config.get_config_value("SOME_KEY", default=3) == 3
    with pytest.raises(ConfigError, match="SOME_KEY setting is required"):
        config.get_config_value("SOME_KEY")


def test_no_secret_is_printed(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(f"SPACER_{name}", "hunter2")
    settings_changed()
    config.check()
    printed = capsys.readouterr().out
    assert "hunter2" not in printed
    assert "MAX_IMAGE_PIXELS: 100000000" in printed
    assert set(config.CONFIGURABLE_VARS) == {
        line.partition(":")[0] for line in printed.split("\n")[:-1]
    }


def test_resources_belong_to_a_thread_and_take_the_settings_endpoint(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Any
) -> None:
    monkeypatch.setenv("SPACER_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SPACER_AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("SPACER_AWS_SECRET_ACCESS_KEY", "secret")
    settings_changed()
    monkeypatch.setattr(aws, "THREAD_LOCAL", type(aws.THREAD_LOCAL)())
    resource = aws.get_s3_resource()
    assert resource is aws.get_s3_resource()
    assert resource.meta.client.meta.endpoint_url == "http://127.0.0.1:1"
    credentials = aws.create_aws_session().get_credentials()
    assert credentials is not None
    assert credentials.access_key == "key"
