"""Everything that the queue needs, as private processes of this machine."""

from __future__ import annotations

import os
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from spacer_tasks.app import app
from spacer_tasks.config.settings import get_settings
from spacer_tasks.config.sources import PREFIX
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import HOST, Process, process
from spacer_tasks.demo.services import free_ports, redis_server, s3_server
from spacer_tasks.messages.specs import ExtractorSpec
from spacer_tasks.storage.s3 import forget_clients

BUCKET = "demo"
POOLS = ("features", "training", "classify")
#: seconds for three workers at once on a busy machine: torch and scikit-learn take a while to load
WORKERS_READY_S = 180.0
#: tasks at once of the feature worker: one computes while the other downloads and uploads
FEATURE_CONCURRENCY = 2
#: settings of the user's that hold for the demo, too: those about this machine
KEPT = {f"{PREFIX}DEVICE", f"{PREFIX}LOG_LEVEL"}


@contextmanager
def servers(folder: Path) -> Iterator[DataLocation]:
    """A private Redis and S3 server, as the settings of this process and its children.

    Parameters
    ----------
    folder
        For their data and logs.

    Returns
    -------
    An empty bucket's location, to be `joined` to.

    Raises
    ------
    ServiceError
        One does not start.
    """
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder / "redis"))
        s3 = stack.enter_context(s3_server(folder / "s3"))
        s3.create_bucket(BUCKET)
        root = DataLocation(storage_type="s3", bucket_name=BUCKET, key="demo")
        stack.enter_context(
            _environment(
                {
                    "SPACER_BROKER_URL": redis.url,
                    "SPACER_S3_ENDPOINT_URL": s3.endpoint_url,
                    "SPACER_AWS_ACCESS_KEY_ID": s3.access_key,
                    "SPACER_AWS_SECRET_ACCESS_KEY": s3.secret_key,
                    "SPACER_RESULTS_PREFIX": root.joined("results").uri,
                    "SPACER_EXTRACTORS_CACHE_DIR": str(folder / "extractors"),
                    # a proxy of the environment cannot reach servers of this machine
                    "NO_PROXY": HOST,
                    "no_proxy": HOST,
                }
            )
        )
        # read from the settings before, if something in this process used the application
        app.conf.update(broker_url=redis.url, result_backend=redis.url)
        yield root


@dataclass(frozen=True)
class Workers:
    """The running workers and Flower."""

    processes: Sequence[Process]
    flower_url: str

    def check(self) -> None:
        """Raise `ServiceError`, with the end of its log, if one of them ended."""
        for each in self.processes:
            each.check()


@contextmanager
def workers(folder: Path, extractor: ExtractorSpec) -> Iterator[Workers]:
    """One worker of each pool and Flower, on the settings of this process.

    Parameters
    ----------
    folder
        For their logs.
    extractor
        What the feature worker loads before it takes work.

    Raises
    ------
    ServiceError
        One does not start; the text has the end of its log.
    """
    env = {**os.environ, "SPACER_WARM_EXTRACTOR": extractor.model_dump_json()}
    with ExitStack() as stack:
        started = []
        for pool in POOLS:
            command = [
                sys.executable,
                "-m",
                "spacer_tasks.cli",
                "worker",
                pool,
                f"--hostname={pool}@demo",
            ]
            if pool == "features":
                command.append(f"--concurrency={FEATURE_CONCURRENCY}")
            log = folder / f"{pool}.log"
            # all at once: each loads for seconds
            started.append(
                stack.enter_context(
                    process(command, env=env, log_path=log, name=f"the {pool} worker")
                )
            )
        flower, url = stack.enter_context(_flower(folder / "flower.log", env))
        running = Workers([*started, flower], url)
        _wait_for_pings(running)
        yield running


@contextmanager
def _flower(log_path: Path, env: Mapping[str, str]) -> Iterator[tuple[Process, str]]:
    (port,) = free_ports(1)
    url = f"http://{HOST}:{port}"
    # the broker's URL comes from the settings: as an argument, everyone could read its password
    command = [sys.executable, "-m", "celery", "-A", "spacer_tasks.app:app", "flower"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ready() -> bool:
        with opener.open(f"{url}/healthcheck", timeout=2) as answer:
            return bool(answer.status == 200)

    with process(
        [*command, f"--address={HOST}", f"--port={port}"],
        env=env,
        log_path=log_path,
        ready=ready,
        stop_timeout_s=5,
        name="Flower",
    ) as started:
        yield started, url


def _wait_for_pings(running: Workers) -> None:
    names = {f"{pool}@demo" for pool in POOLS}
    deadline = time.monotonic() + WORKERS_READY_S
    while True:
        answers = app.control.ping(destination=sorted(names), timeout=1) or []
        names -= {name for answer in answers for name in answer}
        if not names:
            return
        running.check()
        if time.monotonic() > deadline:
            late = next(
                each
                for pool, each in zip(POOLS, running.processes, strict=False)
                if f"{pool}@demo" in names
            )
            raise late.failed(f"did not answer within {WORKERS_READY_S:g} seconds")


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """These settings and no other, for this process and its children, until the end."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(PREFIX) and name not in KEPT:
            del os.environ[name]
    os.environ.update(settings)
    _forget()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        _forget()


def _forget() -> None:
    get_settings.cache_clear()
    forget_clients()
