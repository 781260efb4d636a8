"""The settings of the tests' servers, in the environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from spacer_tasks.config.settings import get_settings
from spacer_tasks.demo.services import S3Server
from spacer_tasks.storage.s3 import forget_clients


def forget_settings() -> None:
    """What was read from the environment before is read again."""
    get_settings.cache_clear()
    forget_clients()


@contextmanager
def settings_in_environment(redis_url: str, s3: S3Server, bucket: str) -> Iterator[dict[str, str]]:
    """SPACER_* settings for these servers, in the environment; also what child processes need."""
    env = {
        "SPACER_BROKER_URL": redis_url,
        "SPACER_S3_ENDPOINT_URL": s3.endpoint_url,
        "SPACER_AWS_ACCESS_KEY_ID": s3.access_key,
        "SPACER_AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "SPACER_RESULTS_PREFIX": f"s3://{bucket}/results",
        # of web sites of the tests, on this machine
        "SPACER_ALLOWED_URLS": "public 127.0.0.1",
        # a proxy of the environment cannot reach servers of this machine
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        forget_settings()
        yield env
    forget_settings()
