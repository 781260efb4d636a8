"""What a mailman needs about it, and a mailman at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.services import S3Server
from spacer_tasks.mailman import mailman
from spacer_tasks.mailman.mailman import Mailman
from spacer_tasks.mailman.sqs_queue import SQSQueue
from spacer_tasks.mailman.steps import Queues
from spacer_tasks.worker.pools import POOLS, transport_options
from tests.support.photos import photo
from tests.support.s3.buckets import fresh_bucket
from tests.support.sending import empty_queues
from tests.support.settings import forget_settings, settings_in_environment
from tests.support.sqs.post import Post
from tests.support.sqs.server import REGION, sqs_server


@contextmanager
def mail_site(redis_url: str, s3: S3Server) -> Iterator[str]:
    """Settings, servers, and a worker for all queues; the name of an S3 bucket."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        sqs_server() as sqs_url,
        fresh_bucket(s3) as bucket,
        settings_in_environment(redis_url, s3, bucket),
    ):
        monkeypatch.setenv("SPACER_SQS_ENDPOINT_URL", sqs_url)
        monkeypatch.setenv("SPACER_AWS_REGION", REGION)
        # seconds until a job that is nowhere is called lost
        monkeypatch.setenv("SPACER_LOST_AFTER_S", "1")
        # seconds that the end of a mailman waits for, too
        monkeypatch.setattr(mailman, "IDLE_WAIT_S", 1)
        forget_settings()
        storage.store(DataLocation.parse(f"s3://{bucket}/a.png"), photo("sand", 1))
        with (
            empty_queues(redis_url),
            _as_a_pool(),
            start_worker(app, pool="threads", concurrency=2, perform_ping_check=False),
        ):
            yield bucket


@contextmanager
def _as_a_pool() -> Iterator[None]:
    """Let the worker of the tests keep what it has taken where a worker of a pool does."""
    before = app.conf.broker_transport_options
    app.conf.broker_transport_options = {**before, **transport_options(POOLS["features"])}
    yield
    app.conf.broker_transport_options = before


def job_of(bucket: str, image: str | None = None, **changes: Any) -> dict[str, Any]:
    """A job as the reference writes it: one image, two points."""
    image_loc = DataLocation.parse(image or f"s3://{bucket}/a.png")
    message = {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 8},
        "rowcols": [[3, 4], [5, 6]],
        "image_loc": image_loc.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/a.npz").model_dump(),
    }
    return {"task_name": "extract_features", "tasks": [{**message, **changes}]}


@contextmanager
def working(post: Post) -> Iterator[Mailman]:
    """A mailman at work on these queues, in a thread."""
    found = Mailman(Queues(*map(SQSQueue, post.urls)))
    thread = Thread(target=found.run)
    thread.start()
    yield found
    found.stop()
    thread.join(30)
    assert not thread.is_alive()
