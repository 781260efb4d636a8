"""Known secrets go into all settings; then everything that comes out is searched for them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from spacer_tasks import retries, storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import Process, process
from spacer_tasks.demo.services import S3Server, free_ports
from spacer_tasks.exceptions import SpacerError
from spacer_tasks.tasks import extract_features
from tests.support.checkout import CHECKOUT
from tests.support.photos import DUMMY, photo
from tests.support.waiting import wait_until
from tests.support.workers import START_S, StartWorker

#: a proxy of the environment cannot reach servers of this machine
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
SIGNING_KEY = "hunter2-signs-messages"
#: of a presigned URL; the message has it, and what comes of the message has not
URL_SIGNATURE = "hunter2-signs-a-url"
PRESIGNED = f"https://127.0.0.1/reef/a.png?X-Amz-Signature={URL_SIGNATURE}"
FLOWER_LOGIN = "operator:hunter2-looks-at-flower"
#: pages of Flower's that need no login, and tell no more than whether it runs and counts
OPEN_PAGES = {"healthcheck", "metrics"}
PAGES = [
    "", "workers", "worker/feature@test", "tasks", "broker", "api/workers", "api/workers?refresh=1",
    "api/tasks", "api/task/types", "api/queues/length", "metrics", "healthcheck",
]  # fmt: skip
ORDERS = [
    "api/worker/shutdown/feature@test",
    "api/worker/pool/shrink/feature@test",
    "api/task/async-apply/spacer_tasks.extract_features",
    "api/task/send-task/spacer_tasks.extract_features",
    "api/task/revoke/1",
]


@pytest.fixture(scope="module")
def secrets(settings_env: dict[str, str], s3: S3Server, redis_url: str) -> dict[str, str]:
    """By name. Those of the servers are random, and as good to find."""
    return {
        "the password of Redis": redis_url.split("@")[0].rpartition(":")[2],
        "the secret key of S3": s3.secret_key,
        "the key id of S3": s3.access_key,
        "the signing key": SIGNING_KEY,
        "the password of Flower": FLOWER_LOGIN.partition(":")[2],
    }


@pytest.fixture(scope="module")
def worker(start_worker: StartWorker) -> Iterator[Process]:
    """It logs all that it can."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPACER_SIGNING_KEYS", SIGNING_KEY)
        patch.setenv("SPACER_LOG_LEVEL", "DEBUG")
        yield start_worker("feature", "--concurrency=1")


@pytest.fixture(scope="module")
def flower(worker: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Flower as in docker-compose.yml; its URL and log."""
    folder = tmp_path_factory.mktemp("flower")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with process(
        [
            *(sys.executable, "-m", "celery", "-A", "spacer_tasks.app"),
            *("flower", f"--port={port}", "--address=127.0.0.1"),
        ],
        env={**os.environ, "FLOWER_BASIC_AUTH": FLOWER_LOGIN},
        cwd=folder,
        log_path=folder / "flower.log",
        ready=lambda: "feature@test" in seen(url, "api/workers?refresh=1"),
        ready_timeout_s=START_S,
        name="flower",
    ):
        yield url, folder / "flower.log"


def seen(url: str, path: str, login: str | None = FLOWER_LOGIN, data: bytes | None = None) -> str:
    headers = {}
    if login is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    request = urllib.request.Request(f"{url}/{quote(path, safe='/?=&')}", data, headers)
    with DIRECT.open(request, timeout=30) as answer:
        text: str = answer.read().decode(errors="replace")
    return text


@pytest.fixture(scope="module")
def failed(worker: Process, bucket: str, flower: tuple[str, Path]) -> list[str]:
    """Tasks that fail in all ways; their errors as a caller sees them, with tracebacks."""
    image = DataLocation.parse(f"s3://{bucket}/image.png")
    storage.store(image, photo("sand", 1))
    bad = DataLocation.parse(f"s3://{bucket}/bad.png")
    storage.store(bad, b"no image")
    message: dict[str, Any] = {
        "job_token": "1",
        "extractor": DUMMY.model_dump(mode="json"),
        "rowcols": [[3, 4]],
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/features.npz").model_dump(),
    }
    missing = DataLocation(storage_type="s3", bucket_name="no-such-bucket", key="x")
    messages = [
        message,
        {**message, "image_loc": bad.model_dump()},
        {**message, "image_loc": missing.model_dump()},
        {**message, "feature_loc": missing.model_dump()},
        {**message, "rowcols": [[9999, 1]]},
        {**message, "image_loc": {"storage_type": "url", "key": PRESIGNED}},
        {**message, "image_loc": {"storage_type": "url", "key": f"{PRESIGNED} x"}},
        {**message, "image_loc": {"storage_type": "url", "key": PRESIGNED}, "rowcols": [["a", 1]]},
        {**message, "image_loc": {"storage_type": "web", "key": PRESIGNED}},
        {**message, "image_loc": PRESIGNED},
        # a bug: the extractor does not look at its option
        {**message, "extractor": {"class_path": "dummy", "feature_dim": "many"}},
    ]
    errors = []
    # `delay` would refuse some of them here
    all_sent = [app.send_task(extract_features.name, (each,)) for each in messages]
    for sent in all_sent:
        try:
            # some are transient: they are tried again until their retries are over
            sent.get(timeout=sum(retries.TASK.longest_s) + START_S)
        except SpacerError as error:
            errors += [str(error), repr(error), str(sent.traceback)]
        wait_until(
            lambda task_id=sent.id: task_id in seen(flower[0], "api/tasks"),  # type: ignore[misc]
            30,
            "Flower did not hear of a task",
        )
    assert any("Traceback" in text for text in errors)
    return errors


def search(secrets: dict[str, str], text: str, where: str) -> None:
    for name, secret in secrets.items():
        for form in (secret, base64.b64encode(secret.encode()).decode().rstrip("=")):
            assert form not in text, f"{name} is in {where}"


def test_no_secret_is_in_a_log_or_an_error(
    secrets: dict[str, str], failed: list[str], worker: Process, flower: tuple[str, Path]
) -> None:
    log = worker.log_path.read_text()
    assert "DEBUG" in log
    told = {**secrets, "a presigned URL's signature": URL_SIGNATURE}
    search(told, log, "the worker's log")
    search(secrets, flower[1].read_text(), "Flower's log")
    search(told, "\n".join(failed), "an error")
    assert "https://127.0.0.1/reef/a.png?…" in "\n".join(failed)


def test_no_secret_is_in_redis_or_under_the_prefix(
    secrets: dict[str, str], failed: list[str], s3: S3Server, bucket: str
) -> None:
    client = redis.Redis.from_url(str(app.conf.broker_url))
    kept = []
    for key in client.scan_iter():
        kept.append(key)
        with suppress(redis.exceptions.ResponseError):
            kept.append(client.get(key) or b"")
    objects = s3.client().list_objects_v2(Bucket=bucket)["Contents"]
    found = [s3.client().get_object(Bucket=bucket, Key=o["Key"])["Body"].read() for o in objects]
    assert len(found) > 5
    search({"a presigned URL's signature": URL_SIGNATURE}, repr(found), "S3")
    search(secrets, repr(kept + found), "Redis or S3")


@pytest.mark.parametrize("page", PAGES)
def test_no_secret_is_on_a_page_of_flower_s(
    secrets: dict[str, str], failed: list[str], flower: tuple[str, Path], page: str
) -> None:
    text = seen(flower[0], page)
    assert text
    search(secrets, text, page)


def test_no_secret_is_with_a_task_in_flower(
    secrets: dict[str, str], failed: list[str], flower: tuple[str, Path]
) -> None:
    ids = json.loads(seen(flower[0], "api/tasks"))
    assert len(ids) >= 11
    for task_id in ids:
        for page in (f"task/{task_id}", f"api/task/info/{task_id}", f"api/task/result/{task_id}"):
            try:
                text = seen(flower[0], page)
            except urllib.error.HTTPError as error:
                # Flower has no result of a task that failed
                text = error.read().decode(errors="replace")
            search(secrets, text, page)


@pytest.mark.parametrize("login", [None, "operator:wrong", "", "operator"])
def test_flower_shows_nothing_and_takes_no_orders_without_the_login(
    flower: tuple[str, Path], login: str | None
) -> None:
    for page in {*PAGES, "task/1"} - OPEN_PAGES:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            seen(flower[0], page, login)
    for order in ORDERS:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            seen(flower[0], order, login, data=b"{}")


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "spacer_tasks.cli", "config"],
        ["-m", "spacer_tasks.cli", "status"],
        ["-m", "celery", "-A", "spacer_tasks.app", "report"],
        ["-m", "celery", "-A", "spacer_tasks.app", "inspect", "conf"],
        ["-m", "celery", "-A", "spacer_tasks.app", "inspect", "report"],
        ["-m", "celery", "-A", "spacer_tasks.app", "inspect", "stats"],
        [
            "-c",
            "from spacer_tasks.config.settings import *; s = get_settings();"
            " print(s, repr(s), vars(s))",
        ],
        ["-c", "from spacer_tasks.app import app; print(app, repr(app), app.backend)"],
        ["-c", "from spacer_tasks.broker.client import *; print(repr(broker_client()))"],
        ["-c", "from spacer_tasks.storage.s3 import client; print(repr(client()), str(client()))"],
    ],
    ids=lambda command: " ".join(command)[-40:],
)
def test_no_secret_is_printed(secrets: dict[str, str], worker: Process, command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "SPACER_AWS_SESSION_TOKEN": "hunter2-session-token"},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.strip(), done.stderr
    told = {**secrets, "the session token": "hunter2-session-token"}
    search(told, done.stdout + done.stderr, " ".join(command))
