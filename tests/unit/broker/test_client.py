"""A URL is one Redis to Celery and to this package, and a wrong one is blamed on its setting."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from spacer_tasks.broker.client import broker_client, redis_at, results_client
from spacer_tasks.exceptions import ConfigError
from tests.support.redis.celery_parts import backend_of

BROKER = "SPACER_BROKER_URL"
#: what says where a connection goes
ADDRESS = ("host", "port", "db", "path", "username", "password")


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis.example:6380/3",
        "redis://user:p%2Fw%40@redis.example:6380//2",
        "redis://redis.example:6379/",
        "rediss://:pw@redis.example:6380/1?ssl_cert_reqs=CERT_REQUIRED",
        "redis+socket:///run/redis.sock?db=0",
        "redis+socket:///run/redis.sock?virtual_host=1",
        "redis+socket:///run/a%20b.sock?virtual_host=/2",
        "redis+socket://user:pw@/run/redis.sock?virtual_host=3",
    ],
)
def test_a_url_is_read_as_celery_reads_it(url: str) -> None:
    celery_s: Any = backend_of(Celery(backend=url))
    pool = redis_at("SPACER_RESULT_BACKEND_URL", url, timeout_s=1, retries=0).connection_pool
    ours = {"port": 6379, "db": 0, **pool.connection_kwargs}
    celery = {"port": 6379, **celery_s.connparams}
    for name in ADDRESS if "socket" not in url else ADDRESS[2:]:
        assert ours.get(name) == celery.get(name), name


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("CERT_REQUIRED", ssl.CERT_REQUIRED),
        ("CERT_OPTIONAL", ssl.CERT_OPTIONAL),
        ("CERT_NONE", ssl.CERT_NONE),
        ("required", ssl.CERT_REQUIRED),
        ("none", ssl.CERT_NONE),
    ],
)
def test_celerys_words_for_certificates_are_taken(word: str, meant: ssl.VerifyMode) -> None:
    url = f"rediss://redis.example/0?ssl_cert_reqs={word}&ssl_ca_certs=/etc/ca%2B1.pem"
    pool = redis_at(BROKER, url, timeout_s=1, retries=0).connection_pool
    connection = pool.connection_class(**pool.connection_kwargs)
    assert connection.cert_reqs == meant
    assert connection.ca_certs == "/etc/ca+1.pem"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("amqp://:hunter2@rabbit.example//", "not a Redis URL: it begins with amqp://"),
        ("unix://:hunter2@/run/redis.sock", r"expected .*redis\+socket://"),
        ("hunter2", "does not begin with a scheme"),
        ("sentinel://:hunter2@a:1;sentinel://b:1", "SPACER_SENTINEL_MASTER must name"),
        ("redis://:hunter2@a:1/0;redis://b:1/0", "expected one URL"),
        ("redis://:hunter2@a/first", "not a number"),
        ("redis://user:hunter2/2@a:1/0", "must be written as its percent code"),
        ("redis://user:[hunter2@a:1/0", "must be written as its percent code"),
        ("redis://:hunter2@a/0?db=1", "does not read the database"),
        ("redis+socket:///run/redis.sock?db=1", r"\?virtual_host="),
        ("redis+socket:///run/redis.sock?virtual_host=first", "Invalid value for"),
        ("redis://:hunter2@a/0?virtual_host=1", "virtual_host"),
        ("redis://:hunter2@a/0?socket_timeout=long", "socket_timeout"),
        ("redis://:hunter2@a/0?no_such_option=1", "no_such_option"),
        ("rediss://:hunter2@a/0?ssl_cert_reqs=perhaps", "perhaps"),
    ],
)
def test_what_redis_or_celery_does_not_take_is_a_wrong_setting(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        redis_at(BROKER, url, timeout_s=1, retries=0)
    assert str(caught.value).startswith(BROKER)
    assert "hunter2" not in str(caught.value)


def test_the_setting_that_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv(BROKER, "redis://redis.example/0")
    monkeypatch.setenv("SPACER_RESULT_BACKEND_URL", "amqp://rabbit.example//")
    settings_changed()
    assert broker_client().connection_pool.connection_kwargs["host"] == "redis.example"
    with pytest.raises(ConfigError, match=r"^SPACER_RESULT_BACKEND_URL is not a Redis URL"):
        results_client()

    monkeypatch.setenv(BROKER, "amqp://rabbit.example//")
    monkeypatch.delenv("SPACER_RESULT_BACKEND_URL")
    settings_changed()
    for client in (broker_client, results_client):
        with pytest.raises(ConfigError, match=r"^SPACER_BROKER_URL is not a Redis URL"):
            client()
