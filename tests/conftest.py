"""Servers that several kinds of tests share: a real Redis and a real S3 server, started once."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Generator, Iterator

import pytest

from spacer_tasks.app import app
from spacer_tasks.broker import client
from spacer_tasks.demo.services import RedisServer, S3Server, redis_server, s3_server
from tests.support.s3.buckets import fresh_bucket
from tests.support.sending import empty_queues
from tests.support.settings import forget_settings, settings_in_environment

#: seconds; on a busy machine a Redis that is well can take longer to answer than callers wait for.
#: What they do when it does not is shown by processes of their own
PATIENCE_S = 30


def pytest_configure(config: pytest.Config) -> None:
    """Processes that are killed leave files in the temporary folder: give them one that goes."""
    if hasattr(config, "workerinput"):
        # a worker of xdist has its controller's
        return
    usual = tempfile.gettempdir()
    folder = tempfile.TemporaryDirectory(prefix="spacer-", ignore_cleanup_errors=True)
    # what a test of today left can be looked at
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", usual)
    os.environ["TMPDIR"] = tempfile.tempdir = folder.name

    def forget() -> None:
        os.environ["TMPDIR"] = tempfile.tempdir = usual
        folder.cleanup()

    config.add_cleanup(forget)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Half a character in what a test logged would end the process that sends its report."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session", autouse=True)
def patient_callers() -> Iterator[None]:
    """Callers in this process wait longer for Redis than those of a site."""
    limits = {"socket_timeout": PATIENCE_S, "socket_connect_timeout": PATIENCE_S}
    app.conf.update(
        broker_connection_timeout=PATIENCE_S,
        broker_transport_options={**app.conf.broker_transport_options, **limits},
        redis_socket_timeout=PATIENCE_S,
        redis_socket_connect_timeout=PATIENCE_S,
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(client, "TIMEOUT_S", PATIENCE_S)
        yield


@pytest.fixture(autouse=True)
def usual_logging() -> None:
    """A worker in this process, of a test before, lets only errors through."""
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(redis_process: RedisServer) -> str:
    """Redis, shared by the session: a test that counts keys takes a database of its own."""
    return redis_process.url


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[str]:
    """An empty bucket for this test alone."""
    with fresh_bucket(s3) as name:
        yield name


@pytest.fixture
def settings_changed() -> Iterator[Callable[[], None]]:
    """Call it after changing the environment; what was read before is forgotten, also after."""
    forget_settings()
    yield forget_settings
    forget_settings()


@pytest.fixture
def settings_env(redis_url: str, s3: S3Server, bucket: str) -> Iterator[dict[str, str]]:
    """SPACER_* settings for these servers, in the environment."""
    with settings_in_environment(redis_url, s3, bucket) as env:
        yield env


@pytest.fixture
def queue(settings_env: dict[str, str]) -> Iterator[None]:
    """The Celery application of this process on these servers, with empty queues."""
    with empty_queues(settings_env["SPACER_BROKER_URL"]):
        yield
